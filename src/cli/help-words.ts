import type { Command } from 'commander'

/**
 * The words of a command line, with `help network sign` as `network sign --help`. Commander's own help command takes one
 * word, and ignores the rest.
 */
export function wordsOf(given: readonly string[]): readonly string[] {
  const [first, ...rest] = given
  const asksHelp = first === 'help' && rest.length > 1 && rest.every((it) => !it.startsWith('-'))
  return asksHelp ? [...rest, '--help'] : given
}

/**
 * What is wrong with a question for help, such as `help nonsense`; undefined if nothing is. Commander's own help command
 * prints the help of all, and says nothing of the word.
 */
export function wrongTopic(program: Command, given: readonly string[]): string | undefined {
  let [command, path, asksHelp] = [program, program.name(), false]
  for (const word of given) {
    if (word === 'help') {
      asksHelp = true
      continue
    }
    const inner = command.commands.find((it) => it.name() === word)
    if (inner === undefined) {
      const isWrong = asksHelp && command.commands.length > 0 && !word.startsWith('-')
      return isWrong ? `unknown command '${word}'; see ${path} --help` : undefined
    }
    command = inner
    path = `${path} ${word}`
  }
  return undefined
}
