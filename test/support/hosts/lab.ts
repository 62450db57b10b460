import type { SpawnOptions } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { askStatus } from '../../../src/command/client.js'
import type { StatusReport } from '../../../src/control/status.js'
import type { Host } from '../../../src/lab/host.js'
import { type Finished, Program } from '../../../src/lab/program.js'
import { TwoHosts } from '../../../src/lab/two-hosts.js'
import { PROGRAM, PROGRAM_OF_MODULES } from '../program.js'

export type { Finished }
export { PROGRAM }

/**
 * Put this before a command, so that it starts as on a person's command line. tap(1) adds a loader to every node
 * process below it (by NODE_OPTIONS). That brings another thread, exit handlers, and 150 ms more to start.
 */
export const PLAIN = ['/usr/bin/env', '-u', 'NODE_OPTIONS'] as const

// What the tunnels keep goes with the tests. Hosts of namespaces share the file system.
if (process.env.STATE_DIRECTORY === undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'udptun-state-'))
  process.env.STATE_DIRECTORY = folder
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
}

export interface Pair extends Disposable {
  readonly a: Host
  readonly b: Host
  /** The underlay addresses of both hosts. */
  readonly underlay: { readonly a: string; readonly b: string; readonly a6: string; readonly b6: string }
}

/** Two hosts with a cable between their `eth0`, with IPv4 and IPv6. */
export function twoHosts(mtuBytes = 1500): Pair {
  const underlay = { a: '192.0.2.1', b: '192.0.2.2', a6: '2001:db8::1', b6: '2001:db8::2' }
  const two = new TwoHosts({
    names: ['a', 'b'],
    underlay: [
      [`${underlay.a}/24`, `${underlay.a6}/64`],
      [`${underlay.b}/24`, `${underlay.b6}/64`],
    ],
    mtuBytes,
  })
  const [a, b] = two.hosts
  return { a, b, underlay, [Symbol.dispose]: () => two.close() }
}

/** Runs a program to its end, in a host, or on this machine without a host. */
export async function run(
  host: Host | undefined,
  command: string,
  args: readonly string[],
  timeoutMs = 60_000,
): Promise<Finished> {
  const [env, ...rest] = [...PLAIN, command, ...args]
  const program = new Program(host, env, rest)
  const timer = setTimeout(() => program.child.kill('SIGKILL'), timeoutMs)
  const finished = await program.ended
  clearTimeout(timer)
  return finished
}

/** Runs a program that must succeed. Returns what it printed. */
export async function ok(host: Host, command: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(host, command, args)
  if (code !== 0)
    throw new Error(`${command} ${args.join(' ')} in ${host.name}: exit ${code}: ${stderr || stdout}`)
  return stdout
}

/** How to start a tunnel process, if not with node, {@link PROGRAM} and this process's environment. */
export interface Launch extends Pick<SpawnOptions, 'cwd' | 'env' | 'stdio'> {
  /** Replaces the program: a command and its first arguments. */
  readonly command?: readonly [string, ...string[]]
}

/**
 * Most tests do not measure how fast frames are. Their tunnels do not warm up, unless the flags say so, because
 * that takes more processor time than all else that they do. And the workers carry all frames, because most tests
 * are of them: those of the kernel's own datapath ask for it.
 */
function plainly(args: readonly string[]): readonly string[] {
  const given = (flag: string) => args.includes(flag)
  return [
    ...(given('--warm-up') ? [] : ['--warm-up', 'off']),
    ...(given('--datapath') ? [] : ['--datapath', 'workers']),
    ...args,
  ]
}

/**
 * How long to wait for what must come. It is no promise of the program: a busy machine may take many seconds, and an
 * emulated processor minutes.
 */
const PATIENCE_MS = Number(process.env.TEST_PATIENCE_MS ?? 30_000)

/** A tunnel process in a host. */
export class RunningTunnel extends Program {
  readonly host: Host
  /** Every line of its log so far, parsed. */
  readonly log: Record<string, unknown>[] = []

  constructor(host: Host, args: readonly string[], nodeArgs: readonly string[] = [], launch: Launch = {}) {
    const program = nodeArgs.includes('--import') ? PROGRAM_OF_MODULES : PROGRAM
    const { command = [process.execPath, ...nodeArgs, program], ...options } = launch
    const flags = launch.command === undefined ? plainly(args) : args
    const [env, ...rest] = [...PLAIN, ...command, 'start', ...flags]
    super(host, env, rest, options)
    this.host = host
    this.onLine((line) => this.log.push(JSON.parse(line)))
  }

  /** Waits for a log line that matches. */
  async said(pattern: RegExp, withinMs = 2 * PATIENCE_MS): Promise<Record<string, unknown>> {
    for (const endMs = performance.now() + withinMs; performance.now() < endMs; await sleep(10)) {
      const line = this.log.find(({ msg }) => pattern.test(String(msg)))
      if (line !== undefined) return line
      if (this.child.exitCode !== null) break
    }
    throw new Error(
      `${this.host.name} did not say ${pattern} within ${withinMs} ms; it said ${JSON.stringify(this.log)} ${this.stderr}`,
    )
  }

  /** The answer of its status socket. */
  status(device = 'tap0'): Promise<StatusReport> {
    return this.host.run(() => askStatus(device))
  }
}

/** Starts a tunnel and waits until it is up. */
export async function startTunnel(host: Host, ...args: string[]): Promise<RunningTunnel> {
  const tunnel = new RunningTunnel(host, args)
  await tunnel.said(/ is up: /)
  return tunnel
}

/** The same, with the workers' warm-up: for tests that measure time or throughput. */
export function startWarmTunnel(host: Host, ...args: string[]): Promise<RunningTunnel> {
  return startTunnel(host, '--warm-up', 'auto', ...args)
}

/** For {@link pings}: one of five is enough, because this machine may stand still for a second. */
export const ONE_OF_FIVE = ['-c', '5', '-i', '0.2'] as const

/** For {@link pings}, where no answer may come: how long to wait for none. */
export const IN_VAIN = ['-W', '1'] as const

/** Whether one ping is answered. */
export async function pings(host: Host, address: string, ...args: string[]): Promise<boolean> {
  return (await run(host, 'ping', ['-c', '1', '-W', '10', ...args, address])).code === 0
}

/**
 * Waits until a ping is answered. There are ten a second, by a program that ends with the first answer or an error,
 * or after a second. Returns how long that took in ms.
 */
export async function untilPing(host: Host, address: string, withinMs = PATIENCE_MS): Promise<number> {
  const startedMs = performance.now()
  while (performance.now() - startedMs < withinMs) {
    const { code } = await run(host, 'ping', ['-q', '-c', '1', '-i', '0.1', '-w', '1', address])
    if (code === 0) return performance.now() - startedMs
  }
  throw new Error(`${host.name} had no answer from ${address} within ${withinMs} ms`)
}

/** Repeats `check` until it returns true. */
export async function until(
  what: string,
  check: () => boolean | Promise<boolean>,
  withinMs = PATIENCE_MS,
): Promise<void> {
  const startedMs = performance.now()
  // Most checks ask a tunnel, which takes both processes milliseconds. Who has waited for long can wait a little more.
  for (let tookMs = 0; tookMs < withinMs; tookMs = performance.now() - startedMs) {
    if (await check()) return
    await sleep(Math.min(20 + tookMs / 20, 100))
  }
  throw new Error(`not within ${withinMs} ms: ${what}`)
}
