import { accessSync, constants, readFileSync } from 'node:fs'
import { ExecaError, execa } from 'execa'
import { UserError } from '../../src/errors.js'
import type { Host } from '../../src/lab/host.js'

const PATH = [...(process.env.PATH ?? '').split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin']

/** Where a program is (in the folders for root's programs, too), or undefined where it is not installed. */
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

/** @throws UserError when it is not installed */
export function needProgram(name: string, debianPackage: string): void {
  if (findProgram(name) !== undefined) return
  throw new UserError(`the benchmark needs "${name}"; install it (in Debian: apt install ${debianPackage})`)
}

/** A path is taken as it is, a name is looked for. */
function resolve(command: string): string {
  return command.includes('/') ? command : (findProgram(command) ?? command)
}

/** The version of an installed package by the system's own records, or undefined. */
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
 * @throws Error with the program's last words
 */
export async function runIn(
  host: Host,
  command: string,
  args: readonly string[],
  { signal, input = '', timeoutMs = 30_000 }: RunOptions,
): Promise<string> {
  const running = host.run(() =>
    execa(resolve(command), args, { input, timeout: timeoutMs, cancelSignal: signal, env: { LC_ALL: 'C' } }),
  )
  try {
    return (await running).stdout
  } catch (error) {
    throw error instanceof ExecaError ? new Error(lastWords(command, error)) : error
  }
}

function lastWords(command: string, error: ExecaError): string {
  if (error.timedOut) return `${command} did not end in time`
  const said = telling(`${error.stderr ?? ''}\n${error.stdout ?? ''}`)
  return said === '' ? error.shortMessage : `${command}: ${said}`
}

/** Of what a program said, the line that tells most: the last that speaks of an error, or the last. */
function telling(output: string): string {
  const lines = output
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
  return (lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1) ?? '').slice(0, 300)
}

/** How long a program may take to end after SIGTERM. */
const GRACE_MS = 2000

function launch(host: Host, command: string, args: readonly string[], env: Record<string, string>) {
  return host.run(() =>
    execa(resolve(command), args, {
      env,
      reject: false,
      stdin: 'ignore',
      buffer: false,
      forceKillAfterDelay: GRACE_MS,
    }),
  )
}

/** A program that runs inside a host until it is stopped. */
export class Daemon {
  readonly pid: number
  readonly #name: string
  readonly #running: ReturnType<typeof launch>
  #said = ''
  #ended = false

  constructor(host: Host, command: string, args: readonly string[], env: Record<string, string> = {}) {
    this.#running = launch(host, command, args, env)
    this.#name = command.split('/').at(-1) ?? command
    if (this.#running.pid === undefined) throw new Error(`cannot start ${command}`)
    this.pid = this.#running.pid
    for (const stream of [this.#running.stdout, this.#running.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.#said = `${this.#said}${chunk}`.slice(-2000)
      })
    }
    void this.#running.then(() => {
      this.#ended = true
    })
  }

  /** @throws Error with its last words when it has ended by itself */
  check(): void {
    if (!this.#ended) return
    const words = telling(this.#said)
    throw new Error(`${this.#name} ended by itself${words === '' ? '' : `: ${words}`}`)
  }

  async stop(): Promise<void> {
    this.#running.kill('SIGTERM')
    await this.#running
  }
}

/** USER_HZ: what /proc counts processor time in, on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100

/** Processor time that these processes have used so far, in user space and kernel, all threads. */
export function cpuSeconds(pids: readonly number[]): number {
  const ticks = pids.map((pid) => {
    // The name, in parentheses, may hold anything; utime and stime are fields 14 and 15 (proc(5)).
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
