/**
 * Three hosts in one Ethernet: the target, an honest peer of its, and somebody who floods it. What the target's
 * route to the rest of the world leads to is the attacker.
 */
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { PLAIN, PROGRAM, RunningTunnel, run, untilPing } from '../support/hosts/lab.js'
import { Network } from '../support/hosts/network.js'
import { KeyFolder, type KeyPair, WireGuardGo } from '../support/hosts/wireguard-go.js'
import type { KindName } from './kinds.js'
import type { KnockReport } from './knock.js'
import type { FloodReport } from './raw-flood.js'

const FLOOD = fileURLToPath(new URL('./flood.js', import.meta.url))
const KNOCK = fileURLToPath(new URL('./knock.js', import.meta.url))
const SHORT_TIMES = fileURLToPath(new URL('../support/hosts/short-times.js', import.meta.url))

export const PORT = 51_820
const TARGET = 0
const PEER = 1
const ATTACKER = 2

/**
 * Where floods come from: the attacker's address; addresses of the Ethernet that nobody has; all of the Ethernet's,
 * the peer's among them; the rest of the world's; the peer's alone.
 */
export const SOURCES = {
  own: 'own',
  neighbours: 'many=192.0.2.128/25',
  sweep: 'many=192.0.2.0/24',
  world: 'many=198.18.0.0/16',
  peer: `spoofed=192.0.2.2:${PORT}`,
} as const

export type SourceName = keyof typeof SOURCES

/** What may be besieged. */
export type TargetProgram =
  | { readonly name: string; readonly udptun: string }
  | { readonly name: string; readonly wireguardGo: string }

export const UDPTUN: TargetProgram = { name: 'udptun-fast', udptun: PROGRAM }

/** A process that is besieged. */
export interface Target {
  readonly pid: number
  stop(): Promise<void>
}

export interface Renewals {
  readonly renewals: number
  /** Of the pings meanwhile. */
  readonly lostPercent: number
}

const PING_SECONDS = 0.05

/** Keys are renewed every 1.5 s, and done with after 5. */
const PEER_TIMES = {
  rekeyAfterMs: 1_500,
  rekeyTimeoutMs: 500,
  rejectAfterMs: 5_000,
  keepaliveTimeoutMs: 1_000,
}

/** A flood under way. */
export interface RunningFlood {
  stop(): Promise<FloodReport>
}

const MAX_FLOOD_SECONDS = 300

/** What a process has done: CPU time of each of its threads that has a part, by name, and packets sent by its host. */
export interface Effort {
  readonly cpuMs: ReadonlyMap<string, number>
  readonly sentPackets: number
}

/** Linux counts CPU time so many times a second (`sysconf(_SC_CLK_TCK)`). */
const CLOCK_TICKS_PER_SECOND = 100

export function effortOf(pid: number): Effort {
  const cpuMs = new Map<string, number>()
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    const [name, rest] = splitStat(readFileSync(`/proc/${pid}/task/${tid}/stat`, 'utf8'))
    const [user, system] = [Number(rest[11]), Number(rest[12])]
    cpuMs.set(`${name} ${tid}`, ((user + system) * 1000) / CLOCK_TICKS_PER_SECOND)
  }
  const line = /^\s*eth0:\s*(.*)$/m.exec(readFileSync(`/proc/${pid}/net/dev`, 'utf8'))?.[1] ?? ''
  return { cpuMs, sentPackets: Number(line.split(/\s+/)[9]) }
}

function splitStat(stat: string): [string, string[]] {
  const end = stat.lastIndexOf(')')
  return [stat.slice(stat.indexOf('(') + 1, end), stat.slice(end + 2).split(' ')]
}

export class Siege implements Disposable {
  readonly network = new Network(3)
  readonly #keys = new KeyFolder()
  readonly target: KeyPair
  readonly peer: KeyPair

  constructor() {
    this.target = this.#keys.make('target')
    this.peer = this.#keys.make('peer')
    this.network.hosts[TARGET].route('0.0.0.0/0', this.network.underlay(ATTACKER))
  }

  /** A target in mode tun. @param known whether it is told where its peer is */
  async start(program: TargetProgram, known: boolean): Promise<Target> {
    const host = this.network.hosts[TARGET]
    const endpoint = `${this.network.underlay(PEER)}:${PORT}`
    if ('wireguardGo' in program) {
      const own = ['listen-port', `${PORT}`, 'private-key', this.target.file]
      const peer = ['peer', this.peer.publicKey, 'allowed-ips', '10.9.0.2/32']
      const there = known ? ['endpoint', endpoint] : []
      const go = await WireGuardGo.startProgram(
        program.wireguardGo,
        host,
        '10.9.0.1/24',
        ...own,
        ...peer,
        ...there,
      )
      return { pid: go.pid, stop: () => go[Symbol.asyncDispose]() }
    }
    const config = this.#keys.write(
      'target.yaml',
      [
        'local: [10.9.0.1]',
        'mode: tun',
        `listen: ${PORT}`,
        `private_key_file: ${this.target.file}`,
        `peers: [{name: peer, public_key: ${this.peer.publicKey}, addresses: [10.9.0.2]${known ? `, endpoint: "${endpoint}"` : ''}}]`,
      ].join('\n'),
    )
    const launch = { command: [process.execPath, program.udptun] as [string, string] }
    const tunnel = new RunningTunnel(host, ['--warm-up', 'auto', '--config', config], [], launch)
    await tunnel.said(/ is up: /)
    return {
      pid: tunnel.pid,
      stop: async () => {
        await tunnel.stop()
      },
    }
  }

  /** Floods the target until it is stopped, {@link MAX_FLOOD_SECONDS} at the most. */
  async flood(kind: KindName, source: SourceName, perSecond: number): Promise<RunningFlood> {
    const to = `${this.network.underlay(TARGET)}:${PORT}`
    const how = ['--kind', kind, '--source', SOURCES[source], '--rate', `${perSecond}`]
    const args = [to, '--key', this.target.publicKey, ...how, '--seconds', `${MAX_FLOOD_SECONDS}`]
    const [env, ...rest] = [...PLAIN, process.execPath, FLOOD, ...args]
    const child = this.network.hosts[ATTACKER].spawn(env, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
    if (child.stdout === null || child.stderr === null) throw new Error('no output')
    const [said] = await once(child.stderr, 'data')
    if (!/ as if from /.test(String(said))) throw new Error(`the flood said ${said}`)
    const printed = text(child.stdout)
    return {
      stop: async () => {
        child.kill('SIGTERM')
        return JSON.parse(await printed)
      },
    }
  }

  /** Comes to the target as its peer, so many times. */
  async knock(sessions: number, tries = 15): Promise<KnockReport> {
    const to = `${this.network.underlay(TARGET)}:${PORT}`
    const keys = ['--key', this.target.publicKey, '--private-key-file', this.peer.file]
    const how = ['--listen', `${PORT}`, '--sessions', `${sessions}`, '--tries', `${tries}`]
    const patienceMs = sessions * tries * 1_500 + 30_000
    const args = [KNOCK, to, ...keys, ...how]
    const { code, stdout, stderr } = await run(this.network.hosts[PEER], process.execPath, args, patienceMs)
    if (code !== 0) throw new Error(`the peer that comes ended with ${code}: ${stderr}`)
    return JSON.parse(stdout)
  }

  /** The peer is a tunnel whose keys live for so short a time that it renews them every 1.5 s. */
  async startPeer(): Promise<RunningTunnel> {
    const secret = readFileSync(this.peer.file, 'utf8').trim()
    const file = this.#keys.write(
      'peer.conf',
      [
        '[Interface]',
        `PrivateKey = ${secret}`,
        'Address = 10.9.0.2/24',
        `ListenPort = ${PORT}`,
        '[Peer]',
        `PublicKey = ${this.target.publicKey}`,
        `Endpoint = ${this.network.underlay(TARGET)}:${PORT}`,
        'AllowedIPs = 10.9.0.1/32',
      ].join('\n'),
    )
    const times = JSON.stringify(PEER_TIMES)
    const command = [process.execPath, SHORT_TIMES, times] as const
    const tunnel = new RunningTunnel(this.network.hosts[PEER], [file], [], { command: [...command] })
    await tunnel.said(/ is up: /)
    await untilPing(this.network.hosts[PEER], '10.9.0.1', 10_000)
    return tunnel
  }

  /** Has the peer ping the target for so long, and counts how often the keys are new, and what is lost. */
  async renewals(peer: RunningTunnel, seconds: number): Promise<Renewals> {
    const host = this.network.hosts[PEER]
    const madeS = async () =>
      (await peer.status('tun0')).peers[0].privacy?.handshake_s ?? Number.POSITIVE_INFINITY
    const pings = Math.round(seconds / PING_SECONDS)
    const pinging = run(host, 'ping', [
      '-q',
      '-c',
      `${pings}`,
      '-i',
      `${PING_SECONDS}`,
      '-W',
      '1',
      '10.9.0.1',
    ])
    let renewals = 0
    let lastS = await madeS()
    for (const endMs = performance.now() + seconds * 1000; performance.now() < endMs; await sleep(100)) {
      const nowS = await madeS()
      if (nowS < lastS) renewals++
      lastS = nowS
    }
    const lost = /([\d.]+)% packet loss/.exec((await pinging).stdout)?.[1]
    return { renewals, lostPercent: Number(lost) }
  }

  [Symbol.dispose](): void {
    this.network[Symbol.dispose]()
    this.#keys[Symbol.dispose]()
  }
}
