import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, statSync } from 'node:fs'
import { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { UserError } from '../errors.js'
import { openPipe } from '../linux/pipe.js'

/** As in wg-quick(8): a command that fails ends the line, also within a pipe. */
const SHELLS: readonly (readonly [string, ...string[]])[] = [
  ['bash', '-O', 'extglob', '-e', '-o', 'pipefail', '-c'],
  ['sh', '-e', '-c'],
]

/** A program that a command leaves running may keep its output open. So what comes later is not waited for. */
const REST_WITHIN_MS = 250

export interface HookOptions {
  /** Such as `PostUp`, for messages. */
  readonly name: string
  /** Stands in the place of each `%i`. */
  readonly device: string
  /** Where the commands are run; in `/` if it is gone. */
  readonly directory: string
  /** Gets each command before it is run, and then each line of its output. */
  readonly say: (line: string) => void
  /** Ends the command that runs (by SIGTERM), and no other one is begun. */
  readonly signal: AbortSignal
}

/**
 * Runs the commands of a file for wg-quick(8), one after the other, as wg-quick does: by bash, or by sh if there is
 * no bash.
 * @throws UserError for the first that fails, and the rest is not run
 */
export async function runHooks(commands: readonly string[], options: HookOptions): Promise<void> {
  const { name, device, directory, say, signal } = options
  for (const written of commands) {
    const command = written.replaceAll('%i', () => device)
    if (signal.aborted) throw new UserError(`${name} was interrupted before: ${command}`)
    say(`[#] ${command}`)
    const how = await runIn(SHELLS, command, { directory, say, signal })
    if (how !== undefined) throw new UserError(`${name} has failed (${how}): ${command}`)
  }
}

/** @returns how the command has failed; undefined if it has not */
async function runIn(
  [shell, ...others]: typeof SHELLS,
  command: string,
  options: Pick<HookOptions, 'directory' | 'say' | 'signal'>,
): Promise<string | undefined> {
  if (shell === undefined) return 'there is neither bash nor sh'
  const { directory, say, signal } = options
  const [program, ...args] = shell
  // Node.js would make sockets, which a command cannot open as /dev/stderr.
  const { readFd, writeFd } = openPipe()
  const output = new Socket({ fd: readFd, readable: true, writable: false }).unref()
  createInterface(output).on('line', say)
  let child: ChildProcess
  try {
    child = spawn(program, [...args, command], {
      // A process group of its own, so that all of it can be ended.
      detached: true,
      cwd: isDirectory(directory) ? directory : '/',
      stdio: ['ignore', writeFd, writeFd],
      env: { ...process.env, LC_ALL: 'C' },
    })
  } finally {
    closeSync(writeFd)
  }
  const kill = () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, 'SIGTERM')
  }
  signal.addEventListener('abort', kill)
  try {
    return await endOf(child, output)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code === 'ENOENT' ? runIn(others, command, options) : `${program}: ${code}`
  } finally {
    signal.removeEventListener('abort', kill)
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}

/** @throws Error if the program cannot be started */
function endOf(child: ChildProcess, output: Socket): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const closed = new Promise((done) => output.once('close', done))
    child.once('error', reject)
    child.once('exit', async (code, by) => {
      await Promise.race([closed, sleep(REST_WITHIN_MS)])
      resolve(code === 0 ? undefined : by === null ? `exit code ${code}` : `${by}`)
    })
  })
}
