import { fstatSync } from 'node:fs'

/** Levels of pino, and the priorities of syslog(3) and journald for that level and all above. */
const PRIORITIES = [
  [60, 2],
  [50, 3],
  [40, 4],
  [30, 6],
] as const

const DEBUG = 7
const ERROR = 3

/**
 * Whether systemd's journal reads what is written to `fd`: JOURNAL_STREAM names its device and inode (systemd.exec(5)).
 * That a stream is redirected elsewhere later does not change the variable, so it must be compared.
 */
export function isJournal(fd: number, { JOURNAL_STREAM } = process.env): boolean {
  if (JOURNAL_STREAM === undefined) return false
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true })
    return JOURNAL_STREAM === `${dev}:${ino}`
  } catch {
    return false
  }
}

/**
 * A line of the log for the journal: a sentence with its priority in front (sd-daemon(3)). The journal knows the time.
 * @param line a JSON object of pino, with its line feed
 * @param json whether to keep the object instead of the sentence
 */
export function journalLine(line: string, json: boolean): string {
  const { level, msg } = JSON.parse(line) as { level: number; msg?: string }
  const [, priority = DEBUG] = PRIORITIES.find(([least]) => level >= least) ?? []
  return withPriority(json ? line : (msg ?? line), priority)
}

/** The journal makes an entry of each line, and a prefix is good for one. */
function withPriority(text: string, priority: number): string {
  return `${text.trimEnd().replaceAll(/^/gm, `<${priority}>`)}\n`
}

/** What is to be written to standard error for an error: lines. */
export const errorLines = isJournal(2) ? (text: string) => withPriority(text, ERROR) : (text: string) => text
