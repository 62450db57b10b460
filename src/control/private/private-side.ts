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
import type { Mailbox } from '../../memory/mailbox.js'
import { type KnownPeer, knowPeer, Protocol } from '../../noise/handshake.js'
import { Handshakes, type Verdict } from '../../noise/handshakes.js'
import { Identity, OwnIdentity } from '../../noise/keys.js'
import type { Times } from '../../noise/peer.js'
import { Rates } from '../../rates.js'
import type { DeviceMode } from '../../wire/mode.js'
import { pad } from '../../wire/padding.js'
import type { Faults } from '../faults.js'
import { MailboxReader } from '../mailbox-reader.js'
import { SharedKeypairs } from './keypairs.js'

/** The resolution of the protocol's timers. */
const TICK_MS = 100

/** How many handshake messages are taken in one turn of the event loop. */
const TURN_MESSAGES = 8

/**
 * How many moves of a peer are followed in a second, and in one burst. If somebody on the way rewrites source
 * addresses, each datagram may be a move. Further moves are followed by the next ticks.
 */
const MOVES_PER_SECOND = 20
const MOVES_BURST = 50

export interface PrivateSideOptions {
  readonly mode: DeviceMode
  readonly privateKey: Secret
  readonly memory: NativeMemory
  readonly table: KeypairTable
  /** Handshake messages from the udp worker. The socket address of the sender follows each message. */
  readonly queue: Mailbox
  readonly socket: UdpSocket
  /** The workers' blocks of peer counters. */
  readonly counters: readonly Float64Array[]
  readonly log: Logger
  readonly faults: Faults
  /** The endpoint of peer `row` as a socket address. */
  readonly endpointOf: (row: number) => Uint8Array | undefined
  /** An authentic message of peer `row` came from `sockaddr`. Returns false if no peer can be there. */
  readonly roamed: (row: number, sockaddr: Uint8Array) => boolean
  /** Called with the result of each handshake message. */
  readonly counted: (verdict: Verdict) => void
  /** They replace the times of the protocol. */
  readonly times: Partial<Times>
}

/** What the status says of a peer's privacy. */
export interface PrivacyStatus {
  /** Seconds since the keys in use were made; null if there are none. */
  readonly handshake_s: number | null
  readonly preshared_key: boolean
  readonly persistent_keepalive_s: number | null
}

/** Main's part of a private tunnel: the handshakes, the timers, and the sealing of main's own messages. */
export class PrivateSide {
  readonly own: OwnIdentity
  readonly #options: PrivateSideOptions
  /** The clock of all times of the protocol. */
  readonly #clock = new BootClock()
  readonly #keypairs: SharedKeypairs
  readonly #handshakes: Handshakes
  readonly #ticker: NodeJS.Timeout
  readonly #reader: MailboxReader
  readonly #peers = new Map<number, PeerSettings>()
  readonly #moves = new Rates(MAX_PEERS, MOVES_PER_SECOND, MOVES_BURST)
  /** The workers find the same one. */
  readonly #crypto = findCrypto().name
  #closed = false
  /** Called when the keys have changed. The workers look at the keys when they are rung for. */
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
    this.#reader = new MailboxReader(
      options.queue,
      options.faults,
      'handshake',
      TURN_MESSAGES,
      (_row, head) => this.#take(Buffer.from(head)),
    )
    this.#ticker = setInterval(() => this.#tick(), TICK_MS)
  }

  #tick(): void {
    const nowMs = this.#clock.now()
    this.#handshakes.tick(nowMs, (row, work) => this.#apart(row, work))
    this.#followMoves(nowMs)
  }

  /** Does the work for one peer. An error is kept from the others. */
  #apart(row: number, work: () => void): void {
    this.#options.faults.run('keys', work, this.#peers.get(row)?.name)
  }

  #each(work: (row: number) => void): void {
    for (const row of [...this.#peers.keys()]) this.#apart(row, () => work(row))
  }

  /** Checks whether {@link add} would succeed. @throws UserError for impossible keys */
  check(settings: PeerSettings): void {
    const { staticSecret, presharedKey } = this.#acquaint(settings)
    wipe(staticSecret, presharedKey)
  }

  /**
   * Adds a peer. Copies the preshared key and wipes it in the settings. @throws UserError, as {@link check}
   * does
   */
  add(row: number, settings: PeerSettings): void {
    const acquaintance = this.#acquaint(settings)
    settings.preshared_key_file?.wipe()
    const persistentKeepaliveMs = keepaliveMs(settings)
    this.#moves.renew(row)
    this.#handshakes.add({ number: row, known: acquaintance, persistentKeepaliveMs }, this.#clock.now())
    this.#peers.set(row, settings)
  }

  /** Changes the settings of the peer in this row. Its public key stays the same. */
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

  /** The settings or a lookup have given the peer's endpoint. Begins a handshake with it. */
  located(row: number): void {
    this.#handshakes.peer(row)?.initiate(this.#clock.now())
  }

  /**
   * Seals a frame of main's own for a peer; undefined if there are no keys. The padding is as short as
   * possible, because the frame's length may be its purpose.
   */
  seal(row: number, frame: Uint8Array): Buffer | undefined {
    const room = Buffer.alloc(frame.length + 32)
    room.set(frame)
    const bytes = pad(room, 0, frame.length, 0, this.#options.mode === 'tap')
    return this.#keypairs.seal(row, room.subarray(0, bytes))
  }

  /** Must be called when a worker says that there is something. */
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

  /** The name of the crypto in use, and this host's public key. */
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

  /** As long as a move is not taken from the table, the worker reports no further one. */
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

  /** Sends without a guarantee. What is lost is sent again later. */
  #send(message: Uint8Array, to: Uint8Array): void {
    sendDatagram(this.#options.socket, message, to)
  }
}

function keepaliveMs({ persistent_keepalive: seconds }: PeerSettings): number {
  return (seconds ?? 0) * 1000
}
