/** A misspelt name has at most one edit for so many letters. */
const LETTERS_PER_EDIT = 3

/** The name that `misspelt` is most like; undefined if it is like none of them. */
export function nearest(misspelt: string, names: readonly string[]): string | undefined {
  const edits = names.map((name) => editDistance(misspelt.toLowerCase(), name))
  const least = Math.min(...edits)
  return least <= Math.ceil(misspelt.length / LETTERS_PER_EDIT) ? names[edits.indexOf(least)] : undefined
}

/**
 * How many letters must be inserted, removed, changed, or swapped with the next one to make `b` of `a` (optimal
 * string alignment).
 */
export function editDistance(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = last[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      row[j] = Math.min(change, last[j] + 1, row[j - 1] + 1, swapped ? before[j - 2] + 1 : Infinity)
    }
    before = last
    last = row
  }
  return last[b.length]
}
