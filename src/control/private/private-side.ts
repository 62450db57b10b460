import type { Logger } from 'pino'
import { MAX_PEERS, type PeerSettings } from '../../config/schema.js'
import type { Secret } from '../../config/secret.js'
import { KEY_BYTES } from '../../crypto/ciphers.js'
import { findCrypto } from '../../crypto/find-crypto.js'
import { wipe } from '../../crypto/primitives.js'
import type { Encap } from '../../encap/encap.js'
import { UserError } from '../../errors.js'
import { formatKey } from '../../key-text.js'
import { decodeLocal } from '../../linux/sockaddr.js'
import { IdentityKeys } from '../../memory/identity-keys.js'
import { encodeName, localIn, NAME_BYTES, type RelayWay, relayIn, sockaddrIn } from '../../memory/name.js'
import { type KnownPeer, knowPeer, Protocol } from '../../noise/handshake.js'
import { Handshakes } from '../../noise/handshakes.js'
import {
  clampPrivateKey,
  Identity,
  identityOf,
  isSameKey,
  type OwnIdentity,
  useIdentity,
} from '../../noise/keys.js'
import type { Peer as NoisePeer } from '../../noise/peer.js'
import { SteadyCalendar } from '../../noise/steady-calendar.js'
import { Rates } from '../../rates.js'
import { RELAY_NAME_BYTES, TO_INTRODUCER } from '../../wire/relay.js'
import { MESSAGE } from '../../wire/wireguard.js'
import type { Timer } from '../clock.js'
import type { Faults } from '../faults.js'
import { MailboxReader } from '../mailbox-reader.js'
import type { Roster } from '../peer/roster.js'
import type { HandshakeKeys, Platform } from '../platform.js'
import { Rounds } from '../rounds.js'
import type { Tables } from '../tables.js'
import { HANDSHAKE_COUNTERS } from './handshake-counters.js'
import { SharedKeypairs } from './keypairs.js'

/** The resolution of the protocol's timers. */
const TICK_MS = 100

/** How many handshake messages are taken in one turn of the event loop. */
const TURN_MESSAGES = 8

/**
 * How many handshakes begin in one turn, each of which takes a millisecond. Many peers may be set at once, and whoever has
 * set them waits.
 */
const TURN_HANDSHAKES = 8

/**
 * How many moves of a peer are followed in a second, and in one burst. If somebody on the way rewrites source
 * addresses, each datagram may be a move. Further moves are followed by the next ticks.
 */
const MOVES_PER_SECOND = 20
const MOVES_BURST = 50

export interface PrivateSideOptions {
  readonly encap: Encap
  /** Null: none yet. */
  readonly privateKey: Secret | null
  readonly platform: Platform
  readonly tables: Tables
  readonly roster: Roster
  readonly log: Logger
  readonly faults: Faults
}

/** Another private key. */
export interface NewIdentity {
  /** Null: none. Whoever has made this wipes the key. */
  readonly key: Secret | null
  /** Undefined: none. */
  readonly own: OwnIdentity | undefined
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
  #own: OwnIdentity | undefined
  #privateKey: Uint8Array | undefined
  /** Of the private key in use. */
  #fingerprint: string | undefined
  readonly #identityKeys: IdentityKeys
  readonly #rounds: Rounds
  readonly #options: PrivateSideOptions
  readonly #keypairs: SharedKeypairs
  readonly #handshakes: Handshakes
  readonly #ticker: Timer
  readonly #reader: MailboxReader
  readonly #peers = new Map<number, PeerSettings>()
  readonly #moves = new Rates(MAX_PEERS, MOVES_PER_SECOND, MOVES_BURST)
  /** The workers find the same one. */
  readonly #crypto = findCrypto().name
  /** Takes an opened connectivity check that has come from elsewhere than where the peer of a row is. */
  onCheck: (row: number, frame: Uint8Array, name: Uint8Array) => void = () => {}
  #closed = false
  /** How many handshakes have begun in this turn, the rows whose turn comes later, and what ends the turn. */
  #begun = 0
  readonly #toBegin = new Set<number>()
  #turn: Timer | undefined

  constructor(options: PrivateSideOptions) {
    const { privateKey, encap, platform, tables, roster, faults } = options
    const { clock, memory, workers } = platform
    const random = (bytes: number) => platform.random(bytes)
    this.#options = options
    this.#identityKeys = new IdentityKeys(memory, platform.plan.identity)
    this.#rounds = new Rounds(platform)
    this.#use(privateKey, privateKey === null ? undefined : identityOf(privateKey))
    privateKey?.wipe()
    const own = () => this.#own
    const calendar = new SteadyCalendar(
      () => clock.unixMs(),
      () => clock.bootMs(),
    )
    this.#keypairs = new SharedKeypairs(
      memory,
      tables.keypairs,
      tables.peerCounters,
      random,
      () => clock.bootMs(),
      // The workers look at the keys when they are rung for.
      () => workers.ring(),
    )
    this.#handshakes = new Handshakes({
      protocol: encap.ethernet ? Protocol.ethernet : Protocol.wireguard,
      get own() {
        return own()
      },
      keypairs: this.#keypairs,
      random,
      unixMs: () => calendar.nowMs(),
      nowMs: () => clock.bootMs(),
      send: (message, to) => void this.send(message, to),
      sendKeepalive: (row) => this.#sendKeepalive(row),
      endpointOf: (row) => roster.at(row)?.datagramName,
      roamed: (row, name, answers) => this.#roamed(row, name, answers),
      times: platform.times,
    })
    this.#reader = new MailboxReader(
      clock,
      tables.handshakes,
      faults,
      'handshake',
      TURN_MESSAGES,
      (row, head) => this.#take(row, Buffer.from(head)),
    )
    this.#ticker = clock.every(TICK_MS, () => this.#tick())
  }

  /** This host's identity; undefined while it has no private key. */
  get own(): OwnIdentity | undefined {
    return this.#own
  }

  /**
   * The private key, clamped; undefined if there is none. In mode tun, wg(8) may ask for it, and OpenSSL cannot give it
   * out without leaving a copy. In mode tap it is not kept. It may not be changed.
   */
  get privateKey(): Uint8Array | undefined {
    return this.#privateKey
  }

  /** The keys that workers need to check what comes for this host. */
  get handshakeKeys(): HandshakeKeys {
    return this.#handshakeKeysOf(this.#own)
  }

  #handshakeKeysOf(own: OwnIdentity | undefined): HandshakeKeys {
    if (own !== undefined) return { mac1: own.mac1Key, cookie: own.cookieKey }
    // Nobody can know these, so whatever comes is dropped.
    const { platform } = this.#options
    return { mac1: platform.random(KEY_BYTES), cookie: platform.random(KEY_BYTES) }
  }

  /** What changes with this private key, or none (null); undefined if nothing does. */
  identityWith(key: Secret | null): NewIdentity | undefined {
    const own = this.#own
    if (key === null) return own === undefined ? undefined : { key, own: undefined }
    if (own !== undefined && key.fingerprint === this.#fingerprint) return undefined
    if (this.#privateKey !== undefined && isSameKey(this.#privateKey, key.reveal())) return undefined
    const identity = identityOf(key)
    return own?.publicKey.equals(identity.publicKey) ? undefined : { key, own: identity }
  }

  /**
   * This host has another private key from now on, or none. All sessions end, and new handshakes begin. As long as both
   * workers do not check what comes with the new keys, everything is as before. Calls must not overlap.
   * @param identity {@link check} has said that each peer can be there with it
   * @throws UserError when the tunnel stops meanwhile
   */
  async changeKey({ key, own }: NewIdentity): Promise<void> {
    const { mac1, cookie } = this.#handshakeKeysOf(own)
    this.#identityKeys.publish(mac1, cookie)
    await this.#rounds.round()
    this.#use(key, own)
    this.#handshakes.identify(this.#nowMs, (row, work) => this.#apart(row, work))
    const what = key === null ? 'no private key now, so no peer can talk to it' : 'another private key now'
    this.#options.log.info(`this host has ${what}; all sessions have ended`)
  }

  #use(key: Secret | null, own: OwnIdentity | undefined): void {
    const { encap } = this.#options
    wipe(this.#privateKey)
    useIdentity(key ?? undefined, own)
    this.#own = own
    this.#fingerprint = key?.fingerprint
    this.#privateKey = key === null || encap.ethernet ? undefined : clampPrivateKey(key.reveal())
  }

  /** The clock of all times of the protocol. */
  get #nowMs(): number {
    return this.#options.platform.clock.bootMs()
  }

  #tick(): void {
    const nowMs = this.#nowMs
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

  /**
   * Checks whether {@link add} would succeed.
   * @param own the identity that this host has then; undefined: none
   * @throws UserError for impossible keys
   */
  check(settings: PeerSettings, own: OwnIdentity | undefined): void {
    const { staticSecret, presharedKey } = this.#know(settings, own)
    wipe(staticSecret, presharedKey)
  }

  /** Whether {@link check} has nothing against a peer. */
  isPossible(settings: PeerSettings): boolean {
    try {
      this.check(settings, this.#own)
      return true
    } catch (error) {
      if (error instanceof UserError) return false
      throw error
    }
  }

  /**
   * Adds a peer. Copies the preshared key and wipes it in the settings. @throws UserError, as {@link check}
   * does
   */
  add(row: number, settings: PeerSettings): void {
    const known = this.#know(settings, this.#own)
    settings.preshared_key_file?.wipe()
    const persistentKeepaliveMs = keepaliveMs(settings)
    this.#moves.renew(row)
    this.#handshakes.add({ row, known, persistentKeepaliveMs }, this.#nowMs)
    this.#peers.set(row, settings)
  }

  /** Changes the settings of the peer in this row. Its public key stays the same. */
  change(row: number, settings: PeerSettings): void {
    const { preshared_key_file: psk } = settings
    // One that stays may be wiped in the settings.
    const stays = psk?.fingerprint === this.#peers.get(row)?.preshared_key_file?.fingerprint
    const presharedKey = stays ? undefined : (psk?.reveal() ?? new Uint8Array(KEY_BYTES))
    this.peer(row)?.change({ presharedKey, persistentKeepaliveMs: keepaliveMs(settings) }, this.#nowMs)
    psk?.wipe()
    this.#peers.set(row, settings)
  }

  #know(settings: PeerSettings, own: OwnIdentity | undefined): KnownPeer {
    const { public_key, preshared_key_file: psk } = settings
    if (public_key === undefined) throw new UserError(`the peer ${settings.name} has no public key`)
    if (own !== undefined && public_key.equals(own.publicKey))
      throw new UserError(
        `the public key of ${settings.name} is this host's own; give the key that udptun-fast pubkey prints on that host`,
      )
    const known = knowPeer(own, new Identity(public_key), psk?.reveal())
    if (known === undefined)
      throw new UserError(`the public key of ${settings.name} is one that no host can have; check it`)
    return known
  }

  remove(row: number): void {
    const peer = this.#handshakes.peer(row)
    if (peer !== undefined) this.#handshakes.remove(peer)
    this.#peers.delete(row)
  }

  /** The settings or a lookup have given the peer's endpoint. Begins a handshake with it. */
  located(row: number): void {
    if (this.#begun < TURN_HANDSHAKES) {
      this.#begun++
      this.#handshakes.peer(row)?.initiate(this.#nowMs)
    } else this.#toBegin.add(row)
    this.#turn ??= this.#options.platform.clock.after(1, () => this.#beginMore())
  }

  /** Begins a handshake with a peer that may be at any of these places (memory/name.ts). */
  seek(row: number, places: readonly Uint8Array[]): void {
    this.#handshakes.peer(row)?.seek(places, this.#nowMs)
  }

  /** Begins those handshakes that did not fit into the last turn. */
  #beginMore(): void {
    this.#turn = undefined
    this.#begun = 0
    if (this.#closed) return
    const rows = [...this.#toBegin]
    this.#toBegin.clear()
    for (const row of rows) this.#apart(row, () => this.located(row))
  }

  /** This host sends from another address from now on. A peer follows what it can open. */
  rebound(row: number): void {
    const peer = this.#handshakes.peer(row)
    if (peer?.hasKeypair) this.#sendKeepalive(row)
    else peer?.initiate(this.#nowMs)
  }

  /** The keys and handshakes of the peer in this row. */
  peer(row: number): NoisePeer | undefined {
    return this.#handshakes.peer(row)
  }

  /**
   * Seals a frame of main's own for a peer; undefined if there are no keys. The padding is as short as
   * possible, because the frame's length may be its purpose.
   */
  seal(row: number, frame: Uint8Array): Buffer | undefined {
    const room = Buffer.alloc(frame.length + 32)
    room.set(frame)
    const bytes = this.#options.encap.pad(room, 0, frame.length, 0)
    return this.#keypairs.seal(row, room.subarray(0, bytes))
  }

  /** Must be called when a worker says that there is something. */
  wake(): void {
    if (this.#closed) return
    const { tables, faults } = this.#options
    for (const { index, peer } of faults.run('keys', () => this.#keypairs.confirmed()) ?? [])
      this.#apart(peer, () => this.#handshakes.peer(peer)?.confirm(index))
    const nowMs = this.#nowMs
    this.#each((row) => {
      if (tables.keypairs.takeWant(row)) this.#handshakes.peer(row)?.initiate(nowMs)
    })
    this.#followMoves(nowMs)
    this.#reader.wake()
  }

  /** The name of the crypto in use, and this host's public key; null if it has none. */
  summary(): { crypto: string; public_key: string | null } {
    const { publicKey } = this.#own ?? {}
    return { crypto: this.#crypto, public_key: publicKey === undefined ? null : formatKey(publicKey) }
  }

  status(row: number): PrivacyStatus {
    const peer = this.#handshakes.peer(row)
    const settings = this.#peers.get(row)
    const madeMs = peer?.hasKeypair ? peer.handshakeMs : undefined
    return {
      handshake_s: madeMs === undefined ? null : (this.#nowMs - madeMs) / 1000,
      preshared_key: settings?.preshared_key_file !== undefined,
      persistent_keepalive_s: settings?.persistent_keepalive || null,
    }
  }

  /** Wipes all keys. */
  close(): void {
    this.#closed = true
    this.#ticker.cancel()
    this.#reader.close()
    this.#rounds.close()
    this.#turn?.cancel()
    wipe(this.#privateKey)
    this.#each((row) => this.remove(row))
  }

  #take(row: number, messageAndName: Buffer): void {
    const end = messageAndName.length - NAME_BYTES
    const message = messageAndName.subarray(0, end)
    const name = messageAndName.subarray(end)
    if (message.readUInt32LE(0) > MESSAGE.transport) {
      // No message of the protocol begins like this. The worker has opened it.
      this.onCheck(row, message, answerName(name))
      return
    }
    // The answer goes from where it was spoken to, or the way that the message came.
    const source = relayIn(name) === undefined ? answerName(name) : Uint8Array.from(name)
    const verdict = this.#handshakes.take(message, source, this.#nowMs)
    const counter = HANDSHAKE_COUNTERS[verdict]
    if (counter !== undefined) this.#options.tables.counters.own.count(counter)
  }

  #roamed(row: number, name: Uint8Array, answers: boolean): boolean {
    const peer = this.#options.roster.at(row)
    const relay = relayIn(name)
    // What was relayed moves nobody. But the introducer must have said whom it was from.
    if (relay !== undefined) return relay.far === row
    // Whoever is relayed is heard directly now, and may not be reached that way. Data by the new keys shows it.
    if (peer?.isRelayed === true && !answers) return true
    if (peer?.roamTo(sockaddrIn(name)) !== true) return false
    peer.spokenTo(localIn(name))
    return true
  }

  /** As long as a move is not taken from the table, the worker reports no further one. */
  #followMoves(nowMs: number): void {
    const { tables, roster } = this.#options
    const { keypairs } = tables
    this.#each((row) => {
      if (!keypairs.hasMoved(row) || !this.#moves.allows(row, nowMs)) return
      const sockaddr = keypairs.takeMove(row)
      if (sockaddr !== undefined) roster.at(row)?.roamTo(sockaddr)
    })
  }

  #sendKeepalive(row: number): void {
    const to = this.#options.roster.at(row)?.datagramName
    const message = to && this.#keypairs.seal(row, new Uint8Array(0))
    if (message !== undefined) this.send(message, to as Uint8Array)
  }

  /**
   * Sends a message without a guarantee. What is lost is sent again later.
   * @param name as in memory/name.ts
   * @returns 0, or the errno
   */
  send(message: Uint8Array, name: Uint8Array): number {
    const { socket } = this.#options.platform
    const relay = relayIn(name)
    return relay === undefined ? socket.send(message, name) : this.#sendRelayed(message, relay)
  }

  /** A message that cannot be relayed counts as lost on the way. */
  #sendRelayed(message: Uint8Array, { via, far }: RelayWay): number {
    const { platform, roster, tables } = this.#options
    const to = roster.at(via)?.datagramName
    const plain = new Uint8Array(RELAY_NAME_BYTES)
    const view = new DataView(plain.buffer)
    view.setInt32(0, tables.relays.low(far), true)
    view.setInt32(4, tables.relays.high(far) | TO_INTRODUCER, true)
    const header = this.#keypairs.seal(via, plain, MESSAGE.relay)
    if (to === undefined || header === undefined || relayIn(to) !== undefined) return 0
    return platform.socket.send(Buffer.concat([header, message]), to)
  }
}

/** The name for an answer to what has come with this one: it goes from where it was spoken to. */
function answerName(name: Uint8Array): Uint8Array {
  const local = localIn(name)
  return encodeName(sockaddrIn(name), local, decodeLocal(local) !== undefined)
}

function keepaliveMs({ persistent_keepalive: seconds }: PeerSettings): number {
  return (seconds ?? 0) * 1000
}
