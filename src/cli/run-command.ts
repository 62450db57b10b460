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
    // --help and --version are not mistakes.
    if (!(error instanceof CommanderError)) await fail(error)
    else if (error.exitCode !== 0) {
      tellMistake(error, program, words)
      process.exit(2)
    } else {
      endIfOutputFails()
      await outputWritten()
      process.exit(0)
    }
  }
}

/** Gives a program its version, and its mistakes our form. A command copies that when it is added. */
export function ofOurs(program: Command): Command {
  return (
    program
      .version(version)
      // Commander does not say whose mistake it is.
      .configureOutput({ outputError() {} })
      .exitOverride()
  )
}

/** Says what is wrong, and which command's help says how it is right. */
function tellMistake({ code, message }: CommanderError, program: Command, words: readonly string[]): void {
  // Without a command, Commander has printed all help.
  if (code === 'commander.help') return
  const path = pathOf(program, words)
  process.stderr.write(
    errorLines(
      `${stderrColors.red(`${program.name()}:`)} ${withoutKeys(asSentence(message))}; see ${path} --help\n`,
    ),
  )
}

/** The names of the commands that the words begin with, such as `udptun-fast network sign`. */
function pathOf(command: Command, [word, ...rest]: readonly string[]): string {
  const inner = command.commands.find((it) => it.name() === word)
  return inner === undefined ? command.name() : `${command.name()} ${pathOf(inner, rest)}`
}

/** Brings Commander's `error: …`, of one or two lines, into the form of all other messages here. */
function asSentence(message: string): string {
  return message
    .replace(/^error: /, '')
    .trim()
    .replaceAll('\n', ' ')
    .replace(/\. ([A-Z])/, (_, letter) => `: ${letter.toLowerCase()}`)
    .replace(/\.$/, '')
}
