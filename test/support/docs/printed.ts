/** In a page, `…` stands for any part of a line; on a line of its own, for any number of lines. */
const ANY = '…'

/** Whether a command has printed what the page shows. Spaces at the end of a line, and empty lines at the end, do not count. */
export function matches(shown: readonly string[], printed: string): boolean {
  const lines = printed.split('\n').map((line) => line.trimEnd())
  while (lines.at(-1) === '') lines.pop()
  return matchLines(shown, lines)
}

function matchLines(shown: readonly string[], lines: readonly string[]): boolean {
  const [first, ...rest] = shown
  if (first === undefined) return lines.length === 0
  if (first.trim() === ANY)
    return Array.from({ length: lines.length + 1 }, (_, skipped) => lines.slice(skipped)).some((it) =>
      matchLines(rest, it),
    )
  return lines.length > 0 && lineMatches(first, lines[0]) && matchLines(rest, lines.slice(1))
}

function lineMatches(shown: string, line: string): boolean {
  const parts = shown.trimEnd().split(ANY)
  const pattern = parts.map((it) => it.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')
  return new RegExp(`^${pattern}$`).test(line)
}

/** What a terminal has shown, as plain text. */
export function plainText(output: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a terminal takes for colours
  return output.replaceAll(/\u001b\[[0-9;?]*[a-zA-Z]/g, '').replaceAll('\r', '')
}
