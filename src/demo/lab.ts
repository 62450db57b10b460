import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { askStatus } from '../command/client.js'
import type { StatusReport } from '../control/status.js'
import { UserError } from '../errors.js'
import { Program } from '../lab/program.js'
import { TwoHosts } from '../lab/two-hosts.js'
import { EACCES, EPERM, KernelError } from '../linux/errno.js'
import { programFile } from '../package/files.js'

const PROGRAM = fileURLToPath(programFile('cli/main.js'))
const LEASH = programFile('demo/leash.js').href

/** A program that has not ended after this time is killed. */
const PATIENCE_MS = 2_000

/** The address of each host on the cable between them, and in the overlay network. */
export const ADDRESSES = {
  a: { underlay: '198.51.100.1', overlay: '10.9.0.1' },
  b: { underlay: '198.51.100.2', overlay: '10.9.0.2' },
} as const

/** What the tunnels of the demo are asked for. */
export type Datapath = 'auto' | 'workers'

export type Side = keyof typeof ADDRESSES

export interface Running {
  readonly child: ChildProcess
  /** The next line that it prints. @throws the reason of the abort, or an error if there is no next line */
  readonly line: () => Promise<string>
  /** Ends it. */
  readonly stop: () => Promise<unknown>
}

/** Two hosts on this machine, joined by a cable. Nothing of them is left after {@link Lab.close}. */
export class Lab {
  readonly #two: TwoHosts
  readonly #abort: AbortController
  readonly #programs = new Set<Program>()
  #tunnels: readonly Running[] = []
  #closing = false

  private constructor(two: TwoHosts, abort: AbortController) {
    this.#two = two
    this.#abort = abort
  }

  /**
   * @param abort is aborted with the reason if a program in a host fails
   * @throws UserError without the right to make hosts
   */
  static open(abort: AbortController): Lab {
    return new Lab(makeHosts(), abort)
  }

  /** Starts the tunnels. Resolves when both are up. */
  async startTunnels(datapath: Datapath): Promise<void> {
    const start = async (side: Side, other: Side) => {
      const from = ADDRESSES[side].overlay
      const tunnel = this.spawn(side, PROGRAM, [
        'start',
        ...[from, ADDRESSES[other].underlay, '--datapath', datapath, '--json'],
      ])
      await tunnel.line()
      tunnel.child.stdout?.resume()
      return tunnel
    }
    this.#tunnels = await Promise.all([start('a', 'b'), start('b', 'a')])
  }

  async stopTunnels(): Promise<void> {
    await Promise.all(this.#tunnels.map((tunnel) => tunnel.stop()))
  }

  /** Runs one of this program's own modules in a host. */
  spawn(side: Side, file: string, args: readonly string[]): Running {
    const program = new Program(this.#host(side), process.execPath, ['--import', LEASH, file, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      // It is no directory, so nothing is kept.
      env: { ...process.env, STATE_DIRECTORY: '/dev/null' },
    })
    this.#programs.add(program)
    let stopping = false
    const ended = program.ended.then(({ code, signal, stderr }) => {
      this.#programs.delete(program)
      if (code === 0 || stopping || this.#closing) return
      const why = stderr.trim().replace(/^udptun-fast: /, '') || (signal ?? `exit code ${code}`)
      this.#abort.abort(new UserError(`host ${side} of the demo failed: ${why}`))
    })
    const stop = () => {
      stopping = true
      return program.stop('SIGTERM', PATIENCE_MS)
    }
    return { child: program.child, line: lineReader(program.child, ended, this.#abort.signal), stop }
  }

  #host(side: Side) {
    return this.#two.hosts[side === 'a' ? 0 : 1]
  }

  async status(): Promise<Record<Side, StatusReport>> {
    const ask = (side: Side) => this.#host(side).run(() => askStatus('tap0'))
    const [a, b] = await Promise.all([ask('a'), ask('b')])
    return { a, b }
  }

  /** Ends every program and removes the hosts. */
  async close(): Promise<void> {
    this.#closing = true
    await Promise.all([...this.#programs].map((program) => program.stop('SIGTERM', PATIENCE_MS)))
    this.#two.close()
  }
}

function lineReader(child: ChildProcess, ended: Promise<unknown>, signal: AbortSignal) {
  if (child.stdout === null) throw new Error('no standard output')
  const lines = createInterface({ input: child.stdout, signal })[Symbol.asyncIterator]()
  return async () => {
    const { value, done } = await lines.next()
    if (done !== true) return value
    if (!signal.aborted) await ended
    signal.throwIfAborted()
    throw new Error('a program has ended too soon')
  }
}

function makeHosts(): TwoHosts {
  const { a, b } = ADDRESSES
  try {
    return new TwoHosts({ names: ['a', 'b'], underlay: [[`${a.underlay}/24`], [`${b.underlay}/24`]] })
  } catch (error) {
    if (!(error instanceof KernelError) || (error.errno !== EPERM && error.errno !== EACCES)) throw error
    throw new UserError(
      'the demo makes two hosts out of network namespaces, which needs root; run it with sudo, or as root',
    )
  }
}
