import { pino } from 'pino'
import { loadSettings } from '../../src/config/load.js'
import type { Settings } from '../../src/config/schema.js'
import { Secret } from '../../src/config/secret.js'
import { Faults } from '../../src/control/faults.js'
import type { ReloadReport } from '../../src/control/reload.js'
import type { PeerStatus, StatusReport } from '../../src/control/status.js'
import { Tunnel } from '../../src/control/tunnel.js'
import type { Store } from '../../src/etcd/store.js'
import { formatKey } from '../../src/key-text.js'
import { C, type CounterName, counterBlock } from '../../src/memory/counters.js'
import { PeerTable } from '../../src/memory/peer-table.js'
import { clampPrivateKey, derivePublicKey } from '../../src/noise/keys.js'
import type { DeviceMode } from '../../src/wire/mode.js'
import { SimClock, type SimTime } from './clock.js'
import type { SimDns } from './dns.js'
import type { SimNat } from './nat.js'
import { isIpv6, SimAttachment, type SimNetwork } from './network.js'
import { type Received, SimOverlay } from './overlay.js'
import type { PacketChoices } from './packets.js'
import { SimPlatform } from './platform.js'
import type { SimRandom } from './random.js'

/** What a host stands in. */
export interface Surroundings {
  readonly time: SimTime
  readonly network: SimNetwork
  readonly dns: SimDns
  readonly random: SimRandom
  /** Lets time pass until the promise is settled. */
  run<T>(promise: Promise<T>): Promise<T>
}

export interface SimHostOptions {
  /** A number of its own, from 1 to 254. */
  readonly number: number
  readonly addresses: readonly string[]
  readonly nat?: SimNat | undefined
  readonly port: number
  /** Whether its tunnel is private. */
  readonly secret: boolean
  readonly mode: DeviceMode
  /** Rows for peers at the least. By default there are as many as the settings need, and some more. */
  readonly rows?: number
}

/** A line of a host's log. */
export interface LogLine {
  readonly level: number
  readonly msg: string
  readonly time: number
  readonly [field: string]: unknown
}

/** Settings as in a configuration file, without what a host knows by itself. */
export interface SimSettings {
  readonly peers: readonly Readonly<Record<string, unknown>>[]
  readonly [key: string]: unknown
}

/** Room for reloads beside the peers of the start. */
const LEAST_ROWS = 16
/** Room for those whom an introducer introduces. */
const MEMBER_ROWS = 64

/** A host that runs main's real code, in simulated time and on a simulated network. */
export class SimHost {
  readonly name: string
  readonly port: number
  readonly attachment: SimAttachment
  readonly overlay: SimOverlay
  readonly publicKey: Buffer
  readonly lines: LogLine[] = []
  /** What its state directory has. */
  readonly files = new Map<string, string>()
  filesAreFull = false
  clock: SimClock
  platform: SimPlatform | undefined
  tunnel: Tunnel | undefined
  /** What it finds others by, if its settings say so. */
  store: Store | undefined
  /** What its configuration file has. */
  values: SimSettings = { peers: [] }
  readonly #around: Surroundings
  readonly #options: SimHostOptions
  /** What its configuration file has; the public key is that of the first one. */
  privateKey: Buffer
  #faults: Faults | undefined
  #signal = new AbortController()

  constructor(name: string, around: Surroundings, options: SimHostOptions) {
    this.name = name
    this.port = options.port
    this.#around = around
    this.#options = options
    this.privateKey = clampPrivateKey(around.random.bytes(32))
    this.publicKey = derivePublicKey(this.privateKey)
    this.overlay = new SimOverlay(options.mode, options.number)
    this.attachment = new SimAttachment(name, options.addresses, options.nat)
    this.clock = new SimClock(around.time)
    around.network.attach(this.attachment)
  }

  /** The host as a peer of another one. */
  asPeer(more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
    const [address] = this.#options.addresses
    const host = isIpv6(address) ? `[${address}]` : address
    return {
      name: this.name,
      endpoint: `${host}:${this.port}`,
      ...this.overlay.asPeer,
      ...(this.#options.secret ? { public_key: formatKey(this.publicKey) } : {}),
      ...more,
    }
  }

  #settings(): Settings {
    const { secret, mode } = this.#options
    const own = {
      mode,
      local: this.overlay.local,
      listen: String(this.port),
      ...(secret ? { private_key_file: new Secret(Buffer.from(this.privateKey)) } : {}),
    }
    const { peers, ...values } = this.values
    // Only a file for wg-quick(8) may be without peers.
    const some = peers.length === 0 && values.discovery === undefined ? { wireguard: true as const } : {}
    return loadSettings(
      {},
      {
        ...some,
        path: 'sim.yaml',
        values: { ...own, ...values, ...(peers.length === 0 ? {} : { peers }) },
        examples: { local: '', remote: '' },
        lineOf: () => undefined,
      },
    )
  }

  /** Starts the tunnel, with these settings or those before. Time passes until it is up. @throws UserError */
  async start(values: SimSettings = this.values): Promise<void> {
    await this.#around.run(this.begin(values))
  }

  /** Starts the tunnel. Time must be let pass until the promise is settled. */
  async begin(values: SimSettings = this.values): Promise<void> {
    this.values = values
    this.#signal = new AbortController()
    const { time, network, dns, random } = this.#around
    const settings = this.#settings()
    const isMesh = settings.introduce || settings.peers.some(({ introducer }) => introducer)
    const leastRows = this.#options.rows ?? (isMesh ? MEMBER_ROWS : LEAST_ROWS)
    const peerRows = 2 ** Math.ceil(Math.log2(Math.max(leastRows, settings.peers.length)))
    const platform = new SimPlatform({
      time,
      network,
      dns,
      random,
      settings,
      store: this.store,
      peerRows,
      attachment: this.attachment,
      clock: this.clock,
      mac: this.overlay.mac,
      files: this.files,
      filesAreFull: () => this.filesAreFull,
      onFrame: (row, frame) => this.overlay.take(row, frame, time.nowMs),
      onAnswer: (answer) => this.overlay.takeAnswer(answer),
    })
    this.platform = platform
    const log = this.#log()
    const faults = new Faults(log)
    this.#faults = faults
    const { signal } = this.#signal
    const reread = () => this.#settings()
    this.tunnel = await Tunnel.start({ settings, platform, log, faults, reread, signal })
  }

  #log() {
    const timestamp = () => `,"time":${this.clock.unixMs()}`
    const take = (line: string) => void this.lines.push(JSON.parse(line))
    return pino({ level: 'debug', base: null, timestamp }, { write: take })
  }

  /** Ends a start that still waits. */
  abort(): void {
    this.#signal.abort(new Error('the test ends it'))
  }

  async stop(): Promise<void> {
    const { tunnel } = this
    this.tunnel = undefined
    if (tunnel !== undefined) await this.#around.run(tunnel.stop())
  }

  /** The process ends at once, without a word to anybody. */
  crash(): void {
    this.platform?.crash()
    this.clock.stop()
    this.clock = this.clock.successor()
    this.tunnel = undefined
  }

  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  /** Changes the settings, as in the file, and reads them again. */
  reload(values: SimSettings): Promise<ReloadReport> {
    this.values = values
    return this.#around.run(this.#running.reload())
  }

  get #running(): Tunnel {
    if (this.tunnel === undefined) throw new Error(`${this.name} does not run`)
    return this.tunnel
  }

  status(): StatusReport {
    return this.#running.status()
  }

  /** What the status says of a peer. */
  peer(name: string): PeerStatus {
    const found = this.status().peers.find((peer) => peer.name === name)
    if (found === undefined) throw new Error(`${this.name} has no peer ${name}`)
    return found
  }

  /** How many faults there were. */
  get faults(): number {
    return this.#faults?.status().count ?? 0
  }

  /** The rows of the peer table that workers send to. */
  get rowsInUse(): number[] {
    const { platform } = this
    if (platform === undefined) return []
    const { memory, plan } = platform
    const table = new PeerTable(memory, plan.peers, plan.peerRows)
    return Array.from({ length: plan.peerRows }, (_, row) => row).filter((row) => table.inUse(row))
  }

  get mtuBytes(): number | undefined {
    return this.platform?.device?.mtuBytes
  }

  /** Sends a frame to another host inside the tunnel; see {@link SimOverlay.offer}. */
  offer(to: SimHost, text: string, bytes?: number): void {
    if (this.platform !== undefined) this.overlay.offer(this.platform, to.overlay, text, bytes)
  }

  /** Mode tun: sends a packet to an address inside the tunnel; see {@link SimOverlay.send}. */
  send(to: string, text: string, choices?: PacketChoices & { readonly from?: string }): void {
    if (this.platform !== undefined) this.overlay.send(this.platform, to, text, choices)
  }

  /** The frames that came for this host. */
  get received(): readonly Received[] {
    return this.overlay.received
  }

  /** The texts of the frames that came. */
  get texts(): string[] {
    return this.received.map(({ text }) => text)
  }

  /** A counter of the workers. */
  count(name: CounterName): number {
    const { platform } = this
    return platform === undefined ? 0 : counterBlock(platform.memory, platform.plan.udp.counters)[C[name]]
  }

  /** The log's lines of level info and above that match. */
  said(pattern: RegExp): string[] {
    return this.lines.filter(({ level, msg }) => level >= 30 && pattern.test(msg)).map(({ msg }) => msg)
  }

  /** It is suspended for a while: it hears nothing, and its processes stand still. */
  suspend(): void {
    this.clock.suspend()
    this.attachment.asleep = true
  }

  resume(): void {
    this.attachment.asleep = false
    this.clock.resume()
  }
}
