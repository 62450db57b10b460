import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Host } from './host.js'

/** How a program ended. */
export interface Finished {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  /** From the start of the program to its end. */
  readonly tookMs: number
}

/** Only this many of the last characters of each output are kept. */
const KEPT_CHARACTERS = 8 * 1024 * 1024

/** A program in a host, or on this machine without a host: its output and its end. */
export class Program {
  readonly child: ChildProcess
  readonly ended: Promise<Finished>
  stdout = ''
  stderr = ''
  readonly #startedMs = performance.now()

  constructor(
    host: Host | undefined,
    command: string,
    args: readonly string[],
    { input, ...options }: SpawnOptions & { readonly input?: string } = {},
  ) {
    this.child = host === undefined ? spawn(command, args, options) : host.spawn(command, args, options)
    // A character may come in two pieces.
    this.child.stdout?.setEncoding('utf8').on('data', (chunk) => {
      this.stdout = `${this.stdout}${chunk}`.slice(-KEPT_CHARACTERS)
    })
    this.child.stderr?.setEncoding('utf8').on('data', (chunk) => {
      this.stderr = `${this.stderr}${chunk}`.slice(-KEPT_CHARACTERS)
    })
    // A program may end or close its input before it has read all of it.
    this.child.stdin?.on('error', () => {})
    if (input !== undefined) this.child.stdin?.end(input)
    this.ended = once(this.child, 'close').then(([code, signal]) => ({
      code,
      signal,
      stdout: this.stdout,
      stderr: this.stderr,
      tookMs: performance.now() - this.#startedMs,
    }))
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error('the program has not started')
    return this.child.pid
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null
  }

  /** Calls `take` with every line that the program prints. */
  onLine(take: (line: string) => void): void {
    if (this.child.stdout === null) throw new Error('no standard output')
    createInterface(this.child.stdout).on('line', take)
  }

  /**
   * Sends the signal and waits for the end. `tookMs` counts from the signal.
   * @param graceMs the program is killed if it has not ended after this time
   */
  async stop(signal: NodeJS.Signals = 'SIGTERM', graceMs?: number): Promise<Finished> {
    const sentMs = performance.now()
    this.child.kill(signal)
    const timer = graceMs === undefined ? undefined : setTimeout(() => this.child.kill('SIGKILL'), graceMs)
    const finished = await this.ended
    clearTimeout(timer)
    return { ...finished, tookMs: performance.now() - sentMs }
  }
}
