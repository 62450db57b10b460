import { spawn } from 'node:child_process'
import { accessSync, closeSync, constants, fstatSync, openSync, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Writable } from 'node:stream'
import { Option } from 'commander'
import { UserError } from '../errors.js'

/** Where the output of a process in the background goes. */
export interface LogTarget {
  /** For spawn's `stdio`. */
  readonly stdio: number | Writable | 'ignore' | 'inherit'
  /** What a person calls it; undefined if the output is lost. */
  readonly name: string | undefined
  /** This process needs it no more. The other one has its own descriptor. */
  close(): void
}

export interface LogTargetOptions {
  /** A file that the lines are added to, instead of all else. */
  readonly file: string | undefined
  /** What the system log calls the lines. */
  readonly tag: string
}

/** Nobody else needs to read where peers are. */
const FILE_MODE = 0o600

const STANDARD_OUTPUTS = [1, 2]

/** The socket of the system log. */
const SYSTEM_LOG = '/dev/log'

/**
 * Chooses the first of these that is there: the file, systemd's journal if this process's own output goes there, the
 * system log by logger(1).
 * @throws UserError if the file cannot be written
 */
export function openLogTarget({ file, tag }: LogTargetOptions): LogTarget {
  if (file !== undefined) return toFile(file)
  const journal = STANDARD_OUTPUTS.find(isJournal)
  if (journal !== undefined) return { stdio: journal, name: 'the journal', close: () => {} }
  return toSystemLog(tag) ?? { stdio: 'ignore', name: undefined, close: () => {} }
}

/** What a person is told if the output is lost; undefined if it is not. */
export function lostLog({ name }: Pick<LogTarget, 'name'>): string | undefined {
  if (name !== undefined) return undefined
  return 'there is no system log here, so nobody reads the log of this tunnel; keep it with --log-file'
}

/** The flag for the file. @param when in which case it counts */
export const logFileOption = (when: string) =>
  new Option('--log-file <file>', `${when}: a file that the log is added to (default: the system log)`).env(
    'UDPTUN_LOG_FILE',
  )

function toFile(file: string): LogTarget {
  try {
    const fd = openSync(file, 'a', FILE_MODE)
    return { stdio: fd, name: file, close: () => closeSync(fd) }
  } catch (error) {
    throw new UserError(`the log ${file} cannot be written (${(error as NodeJS.ErrnoException).code})`)
  }
}

/** Whether an fd of this process is a stream to systemd's journal (sd_journal_stream_fd(3), `JOURNAL_STREAM`). */
function isJournal(fd: number): boolean {
  try {
    const { dev, ino } = fstatSync(fd)
    return process.env.JOURNAL_STREAM === `${dev}:${ino}`
  } catch {
    return false
  }
}

/** logger(1) writes what comes from a pipe, and ends with the process at the other end. */
function toSystemLog(tag: string): LogTarget | undefined {
  if (statSync(SYSTEM_LOG, { throwIfNoEntry: false })?.isSocket() !== true || !isInstalled('logger'))
    return undefined
  const logger = spawn('logger', ['--tag', tag, '--priority', 'daemon.info'], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  // The lines are lost then. The tunnel counts them.
  logger.on('error', () => {})
  logger.stdin.on('error', () => {})
  logger.unref()
  return {
    stdio: logger.stdin,
    name: `the system log, by the tag ${tag}`,
    close: () => logger.stdin.destroy(),
  }
}

function isInstalled(command: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
