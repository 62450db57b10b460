import { randomBytes } from 'node:crypto'
import ipaddr from 'ipaddr.js'
import type { Logger } from 'pino'
import type { PeerSettings } from '../config/schema.js'
import type { Secret } from '../config/secret.js'
import { UserError } from '../errors.js'
import type { ControlQueue } from '../forward/control-queue.js'
import type { KeypairTable } from '../forward/keypairs.js'
import { findCrypto } from '../linux/crypto.js'
import type { NativeMemory } from '../linux/memory.js'
import { decodeSockaddr, type Endpoint, SOCKADDR_BYTES } from '../linux/sockaddr.js'
import { sendDatagram, type UdpSocket } from '../linux/udp.js'
import { type Acquaintance, acquaint, Protocol } from '../noise/handshake.js'
import { Handshakes, type Verdict } from '../noise/handshakes.js'
import { formatKey } from '../noise/key-text.js'
import { Identity, OwnIdentity } from '../noise/keys.js'
import type { Times } from '../noise/peer.js'
import { wipe } from '../noise/primitives.js'
import type { DeviceMode } from '../wire/mode.js'
import { pad } from '../wire/padding.js'
import { SharedKeypairs } from './keypairs.js'
import { QueueReader } from './queue-reader.js'

/** How exact the timers of the protocol are. */
const TICK_MS = 100

/** Handshake messages taken in one turn of the event loop. */
const TURN_MESSAGES = 8

/** When more are waiting than one turn takes, for so long senders must show first that they are where they say. */
const LOAD_MS = 1_000

/** The row in the queue of a message from where no peer is (-1). */
const STRANGER = 0xffff_ffff

export interface PrivateSideOptions {
  readonly mode: DeviceMode
  readonly privateKey: Secret
  readonly memory: NativeMemory
  readonly table: KeypairTable
  /** Handshake messages from the udp worker, each with the socket address that it came from behind it. */
  readonly queue: ControlQueue
  readonly socket: UdpSocket
  /** The workers' blocks of peer counters. */
  readonly counters: readonly Float64Array[]
  readonly log: Logger
  /** Peer `row` has been heard, authentically, from somewhere else. */
  readonly roamed: (row: number, endpoint: Endpoint, sockaddr: Uint8Array) => void
  /** What came of a handshake message. */
  readonly counted: (verdict: Verdict) => void
  /** In place of those of the protocol. */
  readonly times: Partial<Times>
}

/** What status says of a peer's privacy. */
export interface PrivacyStatus {
  /** Seconds since the keys in use were made; null while there are none. */
  readonly handshake_s: number | null
  readonly preshared_key: boolean
  readonly persistent_keepalive_s: number | null
}

/** Main's part in a private tunnel: handshakes, timers, and what it has to say itself, sealed. */
export class PrivateSide {
  readonly own: OwnIdentity
  readonly #options: PrivateSideOptions
  readonly #keypairs: SharedKeypairs
  readonly #handshakes: Handshakes
  readonly #ticker: NodeJS.Timeout
  readonly #reader: QueueReader
  readonly #peers = new Map<number, PeerSettings>()
  /** Workers find the same. */
  readonly #crypto = findCrypto().name
  #loadUntilMs = 0
  #closed = false
  /** Called when there are other keys than before: workers look at them when they are rung for. */
  onKeys: () => void = () => {}

  constructor(options: PrivateSideOptions) {
    const { privateKey, memory, table, counters, mode } = options
    this.#options = options
    this.own = new OwnIdentity(privateKey.reveal())
    privateKey.wipe()
    this.#keypairs = new SharedKeypairs(memory, table, counters, randomBytes, () => this.onKeys())
    this.#handshakes = new Handshakes({
      protocol: mode === 'tap' ? Protocol.ethernet : Protocol.wireguard,
      own: this.own,
      keypairs: this.#keypairs,
      random: randomBytes,
      unixMs: () => Date.now(),
      send: (message, to) => this.#send(message, to),
      sendKeepalive: (row) => this.#sendKeepalive(row),
      times: options.times,
    })
    this.#reader = new QueueReader(
      options.queue,
      TURN_MESSAGES,
      (row, head) => this.#take(Buffer.from(head), row !== STRANGER),
      (more) => {
        if (more) this.#loadUntilMs = performance.now() + LOAD_MS
      },
    )
    this.#ticker = setInterval(() => this.#handshakes.tick(performance.now()), TICK_MS)
  }

  /** Whether {@link add} would do. @throws UserError for keys that nobody can talk to */
  check(settings: PeerSettings): void {
    const { staticSecret, presharedKey } = this.#acquaint(settings)
    wipe(staticSecret, presharedKey)
  }

  /** Takes the preshared key over: that of the settings is wiped. @throws UserError, as {@link check} does */
  add(row: number, settings: PeerSettings): void {
    const acquaintance = this.#acquaint(settings)
    settings.preshared_key_file?.wipe()
    const persistentKeepaliveMs = (settings.persistent_keepalive ?? 0) * 1000
    this.#handshakes.add({ number: row, acquaintance, persistentKeepaliveMs }, performance.now())
    this.#peers.set(row, settings)
  }

  #acquaint(settings: PeerSettings): Acquaintance {
    const { public_key, preshared_key_file: psk } = settings
    if (public_key === undefined) throw new UserError(`the peer ${settings.name} has no public key`)
    if (public_key.equals(this.own.publicKey))
      throw new UserError(
        `the public key of ${settings.name} is this host's own; give the key that udptun-fast pubkey tells there`,
      )
    const acquaintance = acquaint(this.own, new Identity(public_key), psk?.reveal())
    if (acquaintance === undefined)
      throw new UserError(`the public key of ${settings.name} is one that no host can have; check it`)
    return acquaintance
  }

  remove(row: number): void {
    const peer = this.#handshakes.peer(row)
    if (peer !== undefined) this.#handshakes.remove(peer)
    this.#peers.delete(row)
  }

  /** Where a peer is, as far as its settings and a look-up tell; a handshake is begun there. */
  located(row: number, sockaddr: Uint8Array): void {
    const peer = this.#handshakes.peer(row)
    if (peer === undefined) return
    peer.endpoint = sockaddr
    peer.initiate(performance.now())
  }

  /**
   * A frame of main's own for a peer, sealed, with no more padding than must be: its length may be what it is
   * about. Undefined while there are no keys.
   */
  seal(row: number, frame: Uint8Array): Buffer | undefined {
    const room = Buffer.alloc(frame.length + 32)
    room.set(frame)
    const bytes = pad(room, 0, frame.length, 0, this.#options.mode === 'tap')
    return this.#keypairs.seal(row, room.subarray(0, bytes))
  }

  /** To be called when a worker says that there is something. */
  wake(): void {
    if (this.#closed) return
    const { table } = this.#options
    for (const { index, peer } of this.#keypairs.confirmed()) this.#handshakes.peer(peer)?.confirm(index)
    for (const row of this.#peers.keys()) {
      if (table.takeWant(row)) this.#handshakes.peer(row)?.initiate(performance.now())
      const sockaddr = table.takeMove(row)
      if (sockaddr !== undefined) this.#follow(row, sockaddr)
    }
    this.#reader.wake()
  }

  /** What everything is sealed with, and the key that others know this host by. */
  summary(): { crypto: string; public_key: string } {
    return { crypto: this.#crypto, public_key: formatKey(this.own.publicKey) }
  }

  status(row: number): PrivacyStatus {
    const peer = this.#handshakes.peer(row)
    const settings = this.#peers.get(row)
    const madeMs = peer?.hasKeypair ? peer.handshakeMs : undefined
    return {
      handshake_s: madeMs === undefined ? null : (performance.now() - madeMs) / 1000,
      preshared_key: settings?.preshared_key_file !== undefined,
      persistent_keepalive_s: settings?.persistent_keepalive || null,
    }
  }

  /** Wipes all keys. */
  close(): void {
    this.#closed = true
    clearInterval(this.#ticker)
    this.#reader.close()
    for (const row of [...this.#peers.keys()]) this.remove(row)
  }

  #take(messageAndAddress: Buffer, known: boolean): void {
    const nowMs = performance.now()
    const end = messageAndAddress.length - SOCKADDR_BYTES
    const message = messageAndAddress.subarray(0, end)
    const address = messageAndAddress.subarray(end)
    const host = hostOf(decodeSockaddr(address))
    const verdict = this.#handshakes.take(message, { address, host, known }, nowMs, nowMs < this.#loadUntilMs)
    this.#options.counted(verdict)
    if (verdict !== 'accepted') return
    for (const row of this.#peers.keys())
      if (this.#handshakes.peer(row)?.endpoint === address) this.#follow(row, address)
  }

  #follow(row: number, sockaddr: Uint8Array): void {
    const peer = this.#handshakes.peer(row)
    if (peer !== undefined) peer.endpoint = sockaddr
    this.#options.roamed(row, decodeSockaddr(sockaddr), sockaddr)
  }

  #sendKeepalive(row: number): void {
    const to = this.#handshakes.peer(row)?.endpoint
    const message = to && this.#keypairs.seal(row, new Uint8Array(0))
    if (message !== undefined) this.#send(message, to as Uint8Array)
  }

  /** Best effort: what is lost is said again. */
  #send(message: Uint8Array, to: Uint8Array): void {
    sendDatagram(this.#options.socket, message, to)
  }
}

/** Who a datagram is from, as far as its address says: of IPv6 a host has a whole /64. */
function hostOf({ address }: Endpoint): string {
  const parsed = ipaddr.parse(address)
  return parsed instanceof ipaddr.IPv6 ? parsed.parts.slice(0, 4).join(':') : address
}
