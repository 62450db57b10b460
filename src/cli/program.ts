/** The command line. */
import { CommanderError } from 'commander'
import { commandLine } from './command-line.js'
import { COMMANDS } from './commands.js'
import { fail } from './fail.js'
import { endIfOutputFails, outputWritten } from './output.js'

const [, , asked = ''] = process.argv
const alone = Object.hasOwn(COMMANDS, asked) && asked !== 'complete'
const program = await commandLine(alone ? [asked] : undefined)

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
