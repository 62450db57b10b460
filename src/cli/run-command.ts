import { type Command, CommanderError } from 'commander'
import { withoutKeys } from '../key-text.js'
import { version } from '../version.js'
import { stderrColors } from './colors.js'
import { fail } from './fail.js'
import { endIfOutputFails, outputWritten } from './output.js'

/** Runs what the command line asks a program for, and ends this process if that fails, or if only a text was asked for. */
export async function runCommand(program: Command): Promise<void> {
  // Node.js's own end of the process would wait for the workers, which nobody stops any more.
  process.on('uncaughtException', (error) => void fail(error))
  const command = program.name()
  program
    .version(version)
    .configureOutput({ outputError: (text, write) => write(asSentence(command, text)) })
    .exitOverride()
  // A command copies these when it is added.
  for (const it of program.commands) it.copyInheritedSettings(program)
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
}

/** Brings Commander's `error: …`, of one or two lines, into the form of all other messages here. */
function asSentence(command: string, text: string): string {
  const said = text
    .replace(/^error: /, '')
    .trim()
    .replaceAll('\n', ' ')
    .replace(/\. ([A-Z])/, (_, letter) => `: ${letter.toLowerCase()}`)
    .replace(/\.$/, '')
  return `${stderrColors.red(`${command}:`)} ${withoutKeys(said)}; see ${command} --help\n`
}
