import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import { MAX_PEERS, type PeerSettings } from '../../config/schema.js'
import type { Secret } from '../../config/secret.js'
import { KEY_BYTES } from '../../crypto/ciphers.js'
import { findCrypto } from '../../crypto/find-crypto.js'
import { wipe } from '../../crypto/primitives.js'
import { UserError } from '../../errors.js'
import { formatKey } from '../../key-text.js'
import { BootClock } from '../../linux/clock.js'
import type { NativeMemory } from '../../linux/memory.js'
import { SOCKADDR_BYTES } from '../../linux/sockaddr.js'
import { sendDatagram, type UdpSocket } from '../../linux/udp.js'
import type { KeypairTable } from '../../memory/keypair-table.js'
import type { ControlQueue } from '../../memory/mailbox.js'
import { type KnownPeer, knowPeer, Protocol } from '../../noise/handshake.js'
import { Handshakes, type Verdict } from '../../noise/handshakes.js'
import { Identity, OwnIdentity } from '../../noise/keys.js'
import type { Times } from '../../noise/peer.js'
import { Rates } from '../../rates.js'
import type { DeviceMode } from '../../wire/mode.js'
import { pad } from '../../wire/padding.js'
import type { Faults } from '../faults.js'
import { QueueReader } from '../queue-reader.js'
import { SharedKeypairs } from './keypairs.js'

/** How exact the timers of the protocol are. */
const TICK_MS = 100

/** Handshake messages taken in one turn of the event loop. */
const TURN_MESSAGES = 8

/**
 * Moves of a peer that are followed a second, and at once: where somebody on the way rewrites sources there may be
 * one a datagram. Those beyond that are followed by the next ticks.
 */
const MOVES_PER_SECOND = 20
const MOVES_BURST = 50

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
  readonly faults: Faults
  /** Where peer `row` is, as a socket address. */
  readonly endpointOf: (row: number) => Uint8Array | undefined
  /** Peer `row` has been heard, authentically, from there; false where no peer can be. */
  readonly roamed: (row: number, sockaddr: Uint8Array) => boolean
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
  /** Of all the protocol's times. */
  readonly #clock = new BootClock()
  readonly #keypairs: SharedKeypairs
  readonly #handshakes: Handshakes
  readonly #ticker: NodeJS.Timeout
  readonly #reader: QueueReader
  readonly #peers = new Map<number, PeerSettings>()
  readonly #moves = new Rates(MAX_PEERS, MOVES_PER_SECOND, MOVES_BURST)
  /** Workers find the same. */
  readonly #crypto = findCrypto().name
  #closed = false
  /** Called when there are other keys than before: workers look at them when they are rung for. */
  onKeys: () => void = () => {}

  constructor(options: PrivateSideOptions) {
    const { privateKey, memory, table, counters, mode } = options
    this.#options = options
    this.own = new OwnIdentity(privateKey.reveal())
    privateKey.wipe()
    this.#keypairs = new SharedKeypairs(
      memory,
      table,
      counters,
      randomBytes,
      () => this.#clock.now(),
      () => this.onKeys(),
    )
    this.#handshakes = new Handshakes({
      protocol: mode === 'tap' ? Protocol.ethernet : Protocol.wireguard,
      own: this.own,
      keypairs: this.#keypairs,
      random: randomBytes,
      unixMs: () => Date.now(),
      send: (message, to) => this.#send(message, to),
      sendKeepalive: (row) => this.#sendKeepalive(row),
      endpointOf: options.endpointOf,
      roamed: options.roamed,
      times: options.times,
    })
    this.#reader = new QueueReader(options.queue, options.faults, 'handshake', TURN_MESSAGES, (_row, head) =>
      this.#take(Buffer.from(head)),
    )
    this.#ticker = setInterval(() => this.#tick(), TICK_MS)
  }

  #tick(): void {
    const nowMs = this.#clock.now()
    this.#handshakes.tick(nowMs, (row, work) => this.#apart(row, work))
    this.#followMoves(nowMs)
  }

  /** Does something for a peer, whatever comes of it. */
  #apart(row: number, work: () => void): void {
    this.#options.faults.run('keys', work, this.#peers.get(row)?.name)
  }

  #each(work: (row: number) => void): void {
    for (const row of [...this.#peers.keys()]) this.#apart(row, () => work(row))
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
    const persistentKeepaliveMs = keepaliveMs(settings)
    this.#moves.renew(row)
    this.#handshakes.add({ number: row, known: acquaintance, persistentKeepaliveMs }, this.#clock.now())
    this.#peers.set(row, settings)
  }

  /** The peer of that row, by its key, is set to something else. */
  change(row: number, settings: PeerSettings): void {
    const presharedKey = settings.preshared_key_file?.reveal() ?? new Uint8Array(KEY_BYTES)
    const persistentKeepaliveMs = keepaliveMs(settings)
    this.#handshakes.peer(row)?.change({ presharedKey, persistentKeepaliveMs }, this.#clock.now())
    settings.preshared_key_file?.wipe()
    this.#peers.set(row, settings)
  }

  #acquaint(settings: PeerSettings): KnownPeer {
    const { public_key, preshared_key_file: psk } = settings
    if (public_key === undefined) throw new UserError(`the peer ${settings.name} has no public key`)
    if (public_key.equals(this.own.publicKey))
      throw new UserError(
        `the public key of ${settings.name} is this host's own; give the key that udptun-fast pubkey tells there`,
      )
    const acquaintance = knowPeer(this.own, new Identity(public_key), psk?.reveal())
    if (acquaintance === undefined)
      throw new UserError(`the public key of ${settings.name} is one that no host can have; check it`)
    return acquaintance
  }

  remove(row: number): void {
    const peer = this.#handshakes.peer(row)
    if (peer !== undefined) this.#handshakes.remove(peer)
    this.#peers.delete(row)
  }

  /** Its settings, or a look-up, have told where a peer is: a handshake is begun there. */
  located(row: number): void {
    this.#handshakes.peer(row)?.initiate(this.#clock.now())
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
    const { table, faults } = this.#options
    for (const { index, peer } of faults.run('keys', () => this.#keypairs.confirmed()) ?? [])
      this.#apart(peer, () => this.#handshakes.peer(peer)?.confirm(index))
    const nowMs = this.#clock.now()
    this.#each((row) => {
      if (table.takeWant(row)) this.#handshakes.peer(row)?.initiate(nowMs)
    })
    this.#followMoves(nowMs)
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
      handshake_s: madeMs === undefined ? null : (this.#clock.now() - madeMs) / 1000,
      preshared_key: settings?.preshared_key_file !== undefined,
      persistent_keepalive_s: settings?.persistent_keepalive || null,
    }
  }

  /** Wipes all keys. */
  close(): void {
    this.#closed = true
    clearInterval(this.#ticker)
    this.#reader.close()
    this.#each((row) => this.remove(row))
  }

  #take(messageAndAddress: Buffer): void {
    const end = messageAndAddress.length - SOCKADDR_BYTES
    const message = messageAndAddress.subarray(0, end)
    const address = messageAndAddress.subarray(end)
    const verdict = this.#handshakes.take(message, address, this.#clock.now())
    this.#options.counted(verdict)
  }

  /** What is not taken keeps the worker from telling main of more. */
  #followMoves(nowMs: number): void {
    const { table, roamed } = this.#options
    this.#each((row) => {
      if (!table.hasMoved(row) || !this.#moves.allows(row, nowMs)) return
      const sockaddr = table.takeMove(row)
      if (sockaddr !== undefined) roamed(row, sockaddr)
    })
  }

  #sendKeepalive(row: number): void {
    const to = this.#options.endpointOf(row)
    const message = to && this.#keypairs.seal(row, new Uint8Array(0))
    if (message !== undefined) this.#send(message, to as Uint8Array)
  }

  /** Best effort: what is lost is said again. */
  #send(message: Uint8Array, to: Uint8Array): void {
    sendDatagram(this.#options.socket, message, to)
  }
}

function keepaliveMs({ persistent_keepalive: seconds }: PeerSettings): number {
  return (seconds ?? 0) * 1000
}
