/** The command line. */
import { Command, CommanderError } from 'commander'
import { withoutKeys } from '../key-text.js'
import { version } from '../version.js'
import { stderrColors } from './colors.js'
import { COMMANDS } from './commands.js'
import { fail } from './fail.js'
import { errorLines } from './journal.js'
import { endIfOutputFails, outputWritten } from './output.js'

const program = new Command('udptun-fast')
  .description(
    'A private Ethernet over any IP network: a tap device on each host, its frames carried in UDP.',
  )
  .version(version)
  .configureOutput({ outputError: (text, write) => write(asSentence(text)) })
  .enablePositionalOptions()
  .exitOverride()

/** Brings Commander's `error: …`, of one or two lines, into the form of all other messages here. */
function asSentence(text: string): string {
  const said = text
    .replace(/^error: /, '')
    .trim()
    .replaceAll('\n', ' ')
    .replace(/\. ([A-Z])/, (_, letter) => `: ${letter.toLowerCase()}`)
    .replace(/\.$/, '')
  return errorLines(`${stderrColors.red('udptun-fast:')} ${withoutKeys(said)}; see udptun-fast --help\n`)
}

const [, , asked = ''] = process.argv
for (const name of Object.hasOwn(COMMANDS, asked) ? [asked] : Object.keys(COMMANDS))
  (await COMMANDS[name]())(program)

// Node.js's own end of the process would wait for the workers, which nobody stops any more.
process.on('uncaughtException', (error) => void fail(error))

try {
  await program.parseAsync()
} catch (error) {
  // Commander has already printed its message. --help and --version are not mistakes.
  if (!(error instanceof CommanderError)) await fail(error)
  else if (error.exitCode !== 0) process.exit(2)
  else {
    endIfOutputFails()
    await outputWritten()
    process.exit(0)
  }
}
