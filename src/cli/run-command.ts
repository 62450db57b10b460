import { type Command, CommanderError } from 'commander'
import { withoutKeys } from '../key-text.js'
import { version } from '../package/version.js'
import { stderrColors } from './colors.js'
import { fail } from './fail.js'
import { errorLines } from './journal.js'
import { endIfOutputFails, outputWritten } from './output.js'

/**
 * Runs what the command line asks a program for, and ends this process if that fails, or if only a text was asked for.
 * @param words behind the name of the program
 */
export async function runCommand(
  program: Command,
  words: readonly string[] = process.argv.slice(2),
): Promise<void> {
  // Node.js's own end of the process would wait for the workers, which nobody stops any more.
  process.on('uncaughtException', (error) => void fail(error))
  try {
    await program.parseAsync(words, { from: 'user' })
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
}

/** Gives a program its version, and its mistakes our form. A command copies that when it is added. */
export function ofOurs(program: Command): Command {
  const command = program.name()
  return program
    .version(version)
    .configureOutput({ outputError: (text, write) => write(asSentence(command, text)) })
    .exitOverride()
}

/** Brings Commander's `error: …`, of one or two lines, into the form of all other messages here. */
function asSentence(command: string, text: string): string {
  const said = text
    .replace(/^error: /, '')
    .trim()
    .replaceAll('\n', ' ')
    .replace(/\. ([A-Z])/, (_, letter) => `: ${letter.toLowerCase()}`)
    .replace(/\.$/, '')
  return errorLines(`${stderrColors.red(`${command}:`)} ${withoutKeys(said)}; see ${command} --help\n`)
}
