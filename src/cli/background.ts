import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { UserError } from '../errors.js'
import { programFile } from '../package/files.js'
import type { LogTarget } from './background-log.js'
import { AWAITED, CALLER_DIRECTORY, type StarterLine, type StarterNews } from './starter.js'

export interface BackgroundOptions {
  /** The file to run, such as `cli/main.js` (package/files.ts). */
  readonly script: string
  readonly args: readonly string[]
  /** Where the new process's output goes. */
  readonly log: LogTarget
  /** Where this program's user is, if the new process wants to know. */
  readonly callerDirectory?: string
  /** Its working directory. The default keeps no file system busy. */
  readonly cwd?: string
  /** Gets each line that the new process has for the user meanwhile. */
  readonly onSaid?: (line: string) => void
}

/** Signals that end a program in the foreground. */
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Starts this program again, as a process that outlives this one: in a session of its own, so it gets no signal of
 * this one's terminal, and none when this one ends. (Node.js cannot fork.) Waits until it says, by starter.ts, that
 * its device is there. If this program is asked to end meanwhile, the new process ends, too.
 * @returns its pid
 * @throws UserError with its sentence and its exit code if it cannot start; it has ended then
 */
export async function startInBackground(options: BackgroundOptions): Promise<number> {
  const { script, args, log, callerDirectory, cwd = '/', onSaid = () => {} } = options
  const path = fileURLToPath(programFile(script))
  const child = spawn(process.execPath, [...process.execArgv, path, ...args], {
    cwd,
    detached: true,
    stdio: ['ignore', log.stdio, log.stdio, 'ipc'],
    env: { ...process.env, [AWAITED]: '1', [CALLER_DIRECTORY]: callerDirectory },
  })
  let asked: NodeJS.Signals | undefined
  const end = (signal: NodeJS.Signals) => {
    asked = signal
    child.kill('SIGTERM')
  }
  for (const signal of ENDING) process.on(signal, end)
  try {
    const news = await newsOf(child, onSaid)
    if (news !== undefined && 'up' in news) {
      child.unref()
      return child.pid as number
    }
    const [code, signal] = await endOf(child)
    if (asked !== undefined) throw new UserError(`stopped by ${asked} before the device was there`)
    if (news !== undefined) throw new UserError(news.error, news.exitCode === 2 ? 2 : 1)
    const how = signal === null ? `exit code ${code}` : `${signal}`
    const where = log.name === undefined ? '' : `; its log: ${log.name}`
    throw new UserError(`the tunnel has ended before its device was there (${how})${where}`)
  } finally {
    for (const signal of ENDING) process.off(signal, end)
    log.close()
  }
}

/** What the process says; undefined if it ends without a word. @throws UserError if it cannot be started */
function newsOf(child: ChildProcess, onSaid: (line: string) => void): Promise<StarterNews | undefined> {
  return new Promise((resolve, reject) => {
    child.on('message', (message) => {
      const news = message as StarterNews | StarterLine
      if ('said' in news) onSaid(news.said)
      else resolve(news)
    })
    // All that it has said comes before this.
    child.once('disconnect', () => resolve(undefined))
    child.once('error', (error: NodeJS.ErrnoException) =>
      reject(new UserError(`no process can be started in the background (${error.code ?? error.message})`)),
    )
  })
}

async function endOf(child: ChildProcess): Promise<[code: number | null, signal: NodeJS.Signals | null]> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return [child.exitCode, child.signalCode]
}
