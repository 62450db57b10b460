import { Command } from 'commander'
import { withoutKeys } from '../key-text.js'
import { version } from '../package/version.js'
import { stderrColors } from './colors.js'
import { COMMANDS } from './commands.js'

/** The command line with the commands of these names: what the program, its completion and its manual page share. */
export async function commandLine(names: readonly string[] = Object.keys(COMMANDS)): Promise<Command> {
  const program = new Command('udptun-fast')
    .description(
      'A private Ethernet over any IP network: a tap device on each host, its frames carried in UDP.',
    )
    .version(version)
    .configureOutput({ outputError: (text, write) => write(asSentence(text)) })
    .enablePositionalOptions()
    .exitOverride()
  for (const name of names) (await COMMANDS[name]())(program)
  return program
}

/** Brings Commander's `error: …`, of one or two lines, into the form of all other messages here. */
function asSentence(text: string): string {
  const said = text
    .replace(/^error: /, '')
    .trim()
    .replaceAll('\n', ' ')
    .replace(/\. ([A-Z])/, (_, letter) => `: ${letter.toLowerCase()}`)
    .replace(/\.$/, '')
  return `${stderrColors.red('udptun-fast:')} ${withoutKeys(said)}; see udptun-fast --help\n`
}
