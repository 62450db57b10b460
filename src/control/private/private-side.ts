import type { Logger } from 'pino'
import type { PeerSettings } from '../../config/schema.js'
import type { Secret } from '../../config/secret.js'
import { KEY_BYTES } from '../../crypto/ciphers.js'
import { findCrypto } from '../../crypto/find-crypto.js'
import type { Encap } from '../../encap/encap.js'
import { UserError } from '../../errors.js'
import { formatKey } from '../../key-text.js'
import { answerName, NAME_BYTES, relayIn } from '../../memory/name.js'
import { Protocol } from '../../noise/handshake.js'
import { Handshakes } from '../../noise/handshakes.js'
import type { OwnIdentity } from '../../noise/keys.js'
import type { Peer as NoisePeer } from '../../noise/peer.js'
import { SteadyCalendar } from '../../noise/steady-calendar.js'
import { MESSAGE } from '../../wire/wireguard.js'
import type { Timer } from '../clock.js'
import type { Faults } from '../faults.js'
import { MailboxReader } from '../mailbox-reader.js'
import type { Roster } from '../peer/roster.js'
import type { Platform } from '../platform.js'
import type { Tables } from '../tables.js'
import { Beginnings } from './beginnings.js'
import { HANDSHAKE_COUNTERS } from './handshake-counters.js'
import { SharedKeypairs } from './keypairs.js'
import { checkPeer, knownPeer } from './known-peer.js'
import { type NewIdentity, OwnKey } from './own-key.js'
import { PrivateSender } from './sender.js'
import { Whereabouts } from './whereabouts.js'

/** The resolution of the protocol's timers. */
const TICK_MS = 100

/** How many handshake messages are taken in one turn of the event loop. */
const TURN_MESSAGES = 8

export interface PrivateSideOptions {
  readonly encap: Encap
  /** Null: none yet. */
  readonly privateKey: Secret | null
  readonly platform: Platform
  readonly tables: Tables
  readonly roster: Roster
  readonly log: Logger
  readonly faults: Faults
  /** Takes an opened connectivity check that has come from elsewhere than where the peer of a row is. */
  readonly onCheck: (row: number, frame: Uint8Array, name: Uint8Array) => void
}

/** What the status says of a peer's privacy. */
export interface PrivacyStatus {
  /** Seconds since the keys in use were made; null if there are none. */
  readonly handshake_s: number | null
  readonly preshared_key: boolean
  readonly persistent_keepalive_s: number | null
}

/** Main's part of a private tunnel: this host's key, the handshakes with all peers, and their timers. */
export class PrivateSide {
  readonly ownKey: OwnKey
  /** For what main itself sends. */
  readonly sender: PrivateSender
  readonly #options: PrivateSideOptions
  readonly #keypairs: SharedKeypairs
  readonly #handshakes: Handshakes
  readonly #ticker: Timer
  readonly #reader: MailboxReader
  readonly #peers = new Map<number, PeerSettings>()
  readonly #beginnings: Beginnings
  readonly #whereabouts: Whereabouts
  /** The workers find the same one. */
  readonly #crypto = findCrypto().name
  #closed = false

  constructor(options: PrivateSideOptions) {
    const { privateKey, encap, platform, tables, roster, faults } = options
    const { clock, memory, workers } = platform
    const random = (bytes: number) => platform.random(bytes)
    this.#options = options
    const ownKey = new OwnKey(platform, !encap.ethernet, privateKey)
    this.ownKey = ownKey
    const whereabouts = new Whereabouts(roster, tables.keypairs)
    this.#whereabouts = whereabouts
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
    const sender = new PrivateSender({
      encap,
      keypairs: this.#keypairs,
      relays: tables.relays,
      roster,
      socket: platform.socket,
    })
    this.sender = sender
    this.#handshakes = new Handshakes({
      protocol: encap.ethernet ? Protocol.ethernet : Protocol.wireguard,
      get own() {
        return ownKey.identity
      },
      keypairs: this.#keypairs,
      random,
      ephemeral: () => platform.ephemeral(),
      unixMs: () => calendar.nowMs(),
      nowMs: () => clock.bootMs(),
      send: (message, to) => void sender.send(message, to),
      begin: (row) => this.#beginnings.add(row),
      sendKeepalive: (row) => sender.sendKeepalive(row),
      endpointOf: (row) => roster.at(row)?.datagramName,
      roamed: (row, name, answers) => whereabouts.heard(row, name, answers),
      times: platform.times,
    })
    this.#beginnings = new Beginnings(
      clock,
      (row) => this.#handshakes.peer(row)?.initiate(this.#nowMs),
      (row, work) => this.#apart(row, work),
    )
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

  /**
   * This host has another private key from now on, or none, as {@link OwnKey.change} says. All sessions end, and new
   * handshakes begin.
   * @param identity {@link check} has said that each peer can be there with it
   * @throws UserError when the tunnel stops meanwhile
   */
  async changeKey(identity: NewIdentity): Promise<void> {
    await this.ownKey.change(identity)
    this.#handshakes.identify(this.#nowMs, (row, work) => this.#apart(row, work))
    const what =
      identity.key === null ? 'no private key now, so no peer can talk to it' : 'another private key now'
    this.#options.log.info(`this host has ${what}; all sessions have ended`)
  }

  /** The clock of all times of the protocol. */
  get #nowMs(): number {
    return this.#options.platform.clock.bootMs()
  }

  #tick(): void {
    const nowMs = this.#nowMs
    this.#handshakes.tick(nowMs, (row, work) => this.#apart(row, work))
    this.#each((row) => this.#whereabouts.follow(row, nowMs))
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
    checkPeer(settings, own)
  }

  /** Whether {@link check} has nothing against a peer. */
  isPossible(settings: PeerSettings): boolean {
    try {
      checkPeer(settings, this.ownKey.identity)
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
    const known = knownPeer(settings, this.ownKey.identity)
    settings.preshared_key_file?.wipe()
    const persistentKeepaliveMs = keepaliveMs(settings)
    this.#whereabouts.renew(row)
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

  remove(row: number): void {
    const peer = this.#handshakes.peer(row)
    if (peer !== undefined) this.#handshakes.remove(peer)
    this.#peers.delete(row)
  }

  /** The settings or a lookup have given the peer's endpoint. Begins a handshake with it. */
  located(row: number): void {
    this.#beginnings.add(row)
  }

  /** Begins a handshake with a peer that may be at any of these places (memory/name.ts). */
  seek(row: number, places: readonly Uint8Array[]): void {
    this.#handshakes.peer(row)?.seek(places, this.#nowMs)
  }

  /** This host sends from another address from now on. A peer follows what it can open. */
  rebound(row: number): void {
    if (this.#handshakes.peer(row)?.hasKeypair) this.sender.sendKeepalive(row)
    else this.#beginnings.add(row)
  }

  /** The keys and handshakes of the peer in this row. */
  peer(row: number): NoisePeer | undefined {
    return this.#handshakes.peer(row)
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
    this.#each((row) => this.#whereabouts.follow(row, nowMs))
    this.#reader.wake()
  }

  /** The name of the crypto in use, and this host's public key; null if it has none. */
  summary(): { crypto: string; public_key: string | null } {
    const { publicKey } = this.ownKey.identity ?? {}
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
    this.#beginnings.close()
    this.ownKey.close()
    this.#each((row) => this.remove(row))
  }

  #take(row: number, messageAndName: Buffer): void {
    const end = messageAndName.length - NAME_BYTES
    const message = messageAndName.subarray(0, end)
    const name = messageAndName.subarray(end)
    if (message.readUInt32LE(0) > MESSAGE.transport) {
      // No message of the protocol begins like this. The worker has opened it.
      this.#options.onCheck(row, message, answerName(name))
      return
    }
    // The answer goes from where it was spoken to, or the way that the message came.
    const source = relayIn(name) === undefined ? answerName(name) : Uint8Array.from(name)
    const verdict = this.#handshakes.take(message, source, this.#nowMs)
    const counter = HANDSHAKE_COUNTERS[verdict]
    if (counter !== undefined) this.#options.tables.counters.own.count(counter)
  }
}

function keepaliveMs({ persistent_keepalive: seconds }: PeerSettings): number {
  return (seconds ?? 0) * 1000
}
