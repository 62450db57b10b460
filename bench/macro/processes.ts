import { accessSync, constants, readFileSync } from 'node:fs'
import { execa } from 'execa'
import { UserError } from '../../src/errors.js'
import type { Host } from '../../src/lab/host.js'
import { Program } from '../../src/lab/program.js'

const PATH = [...(process.env.PATH ?? '').split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin']

/** The path of a program; undefined if it is not installed. Also searches the folders of root's programs. */
export function findProgram(name: string): string | undefined {
  return PATH.map((folder) => `${folder}/${name}`).find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** @throws UserError if it is not installed */
export function needProgram(name: string, debianPackage: string): void {
  if (findProgram(name) !== undefined) return
  throw new UserError(`the benchmark needs "${name}"; install it (in Debian: apt install ${debianPackage})`)
}

/** Takes a path as it is, and searches for a name. */
function resolve(command: string): string {
  return command.includes('/') ? command : (findProgram(command) ?? command)
}

/** The version of an installed package from the system's package database; undefined if it is unknown. */
export async function packageVersion(name: string): Promise<string | undefined> {
  for (const [command, ...args] of [
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format, not JavaScript's
    ['dpkg-query', '-W', '-f', '${Version}', name],
    ['rpm', '-q', '--qf', '%{VERSION}-%{RELEASE}', name],
  ]) {
    const { failed, stdout } = await execa(command, args, { reject: false })
    if (!failed && stdout !== '') return stdout
  }
  return undefined
}

export interface RunOptions {
  readonly signal: AbortSignal
  readonly input?: string
  readonly timeoutMs?: number
}

/**
 * Runs a program to its end inside a host and returns what it printed.
 * @throws Error with the program's most useful line; the signal's reason
 */
export async function runIn(
  host: Host,
  command: string,
  args: readonly string[],
  { signal, input = '', timeoutMs = 30_000 }: RunOptions,
): Promise<string> {
  signal.throwIfAborted()
  const env = { ...process.env, LC_ALL: 'C' }
  const program = new Program(host, resolve(command), args, { input, env })
  const timeout = AbortSignal.timeout(timeoutMs)
  const kill = () => program.child.kill('SIGTERM')
  for (const it of [signal, timeout]) it.addEventListener('abort', kill, { once: true })
  try {
    const { code, stdout, stderr } = await program.ended
    signal.throwIfAborted()
    if (code === 0) return stdout.replace(/\n$/, '')
    if (timeout.aborted) throw new Error(`${command} did not end in time`)
    const said = telling(`${stderr}\n${stdout}`)
    throw new Error(`${command}: ${said === '' ? `exit code ${code}` : said}`)
  } finally {
    for (const it of [signal, timeout]) it.removeEventListener('abort', kill)
  }
}

/** The most useful line of a program's output: the last one with "error", otherwise the last one. */
function telling(output: string): string {
  const lines = output
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
  return (lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1) ?? '').slice(0, 300)
}

/** A program must end within this time after SIGTERM. */
const GRACE_MS = 2000

/** A program that runs inside a host until it is stopped. */
export class Daemon {
  readonly pid: number
  readonly #name: string
  readonly #program: Program

  constructor(host: Host, command: string, args: readonly string[], env: Record<string, string> = {}) {
    this.#program = new Program(host, resolve(command), args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#name = command.split('/').at(-1) ?? command
    this.pid = this.#program.pid
  }

  /** @throws Error with its most useful line if it has ended by itself */
  check(): void {
    const { running, stdout, stderr } = this.#program
    if (running) return
    const words = telling(`${stdout}\n${stderr}`)
    throw new Error(`${this.#name} ended by itself${words === '' ? '' : `: ${words}`}`)
  }

  async stop(): Promise<void> {
    await this.#program.stop('SIGTERM', GRACE_MS)
  }
}

/** USER_HZ: /proc counts processor time in this unit, on every architecture that Node.js supports. */
const TICKS_PER_SECOND = 100

/** Processor time that these processes have used so far: all threads, in user space and kernel. */
export function cpuSeconds(pids: readonly number[]): number {
  const ticks = pids.map((pid) => {
    // The name in parentheses may contain anything. utime and stime are fields 14 and 15 (proc(5)).
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? []
    return Number(fields[11]) + Number(fields[12])
  })
  return ticks.reduce((sum, count) => sum + count, 0) / TICKS_PER_SECOND
}

/** Resident memory of the largest of these processes. */
export function residentBytes(pids: readonly number[]): number {
  return Math.max(
    ...pids.map((pid) => {
      const status = readFileSync(`/proc/${pid}/status`, 'latin1')
      return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024
    }),
  )
}
