/**
 * The words of a command line, with `help network sign` as `network sign --help`. Commander's own help command takes one
 * word, and ignores the rest.
 */
export function wordsOf(given: readonly string[]): readonly string[] {
  const [first, ...rest] = given
  const asksHelp = first === 'help' && rest.length > 1 && rest.every((it) => !it.startsWith('-'))
  return asksHelp ? [...rest, '--help'] : given
}
