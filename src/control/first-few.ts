const FEW = 5

/** The first few of many names, for a sentence. */
export function firstFew(names: readonly string[]): string {
  const more = names.length - FEW
  return more <= 0 ? names.join(', ') : `${names.slice(0, FEW).join(', ')} and ${more} more`
}
