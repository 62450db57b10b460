import type { Logger } from 'pino'
import type { PeerSettings, Settings } from '../../config/schema.js'
import { formatKey } from '../../key-text.js'
import type { ControlMessage } from '../../wire/control.js'
import type { Access } from '../access.js'
import type { Addresses } from '../addresses.js'
import type { ControlChannel } from '../control-channel.js'
import type { SourceStatus } from '../discovery/source.js'
import { Sources } from '../discovery/sources.js'
import type { Faults } from '../faults.js'
import type { Peer } from '../peer/peer.js'
import type { PeerChanges, Peers } from '../peer/peers.js'
import type { Roster } from '../peer/roster.js'
import type { Platform } from '../platform.js'
import type { PrivateSide } from '../private/private-side.js'
import { SaidOnce } from '../said-once.js'
import type { Tables } from '../tables.js'
import { type AddedRecord, addRecord } from './add-record.js'
import { Checks } from './checks.js'
import { isBehindNat } from './claims.js'
import { GivenRecords } from './given-records.js'
import { Introduced } from './introduced.js'
import { IntroducerSide } from './introducer-side.js'
import { Kept } from './kept.js'
import type { PortMappingStatus } from './mapping.js'
import { reminderOf } from './own-record.js'
import { OwnSide } from './own-side.js'
import { Places } from './places.js'
import { Relays } from './relays.js'
import { Seeker } from './seeker.js'
import { triesBudget } from './tries.js'
import { Trust } from './trust.js'

/** So many sentences of each teller are logged. One that tells ever other things does not silence those of the others. */
const MOST_SENTENCES = 64

export interface MeshContext {
  readonly settings: Settings
  readonly platform: Pick<Platform, 'clock' | 'random' | 'state' | 'network' | 'socket' | 'store'>
  readonly tables: Tables
  readonly roster: Roster<Peer>
  readonly channel: ControlChannel
  readonly privateSide: PrivateSide
  readonly peers: Pick<Peers, 'followCarrying'>
  readonly addresses: Pick<Addresses, 'ownMac'>
  readonly access: Pick<Access, 'signed'>
  readonly log: Logger
  readonly faults: Faults
  /** What a person wants now. */
  readonly wanted: () => Settings
  /** The same, and whom this host has invited: without those whom others introduce. */
  readonly known: () => Settings
  /** Changes the peers to those that are {@link Mesh.membersBeside} the settings. */
  readonly follow: () => Promise<PeerChanges>
  /** The peers have changed. */
  readonly onPeers: () => void
}

/** Hosts that find each other: puts together what this host tells, what it learns from others, and what it does with that. */
export class Mesh {
  readonly #context: MeshContext
  /** What is said of this host's own record. Others decide nothing in it. */
  readonly #reminders: SaidOnce
  /** Undefined if this host introduces nobody. */
  readonly #introducer: IntroducerSide | undefined
  /** Where the introducers and the peer source say that members may be. */
  readonly #places: Places
  readonly #sources: Sources
  readonly #introduced: Introduced
  readonly #own: OwnSide
  readonly #seeker: Seeker
  readonly #relays: Relays
  readonly #checks: Checks
  readonly #trust: Trust
  readonly #given: GivenRecords
  readonly #kept: Kept
  #networkKey: string | undefined

  constructor(context: MeshContext) {
    this.#context = context
    const { settings, platform, tables, channel, log } = context
    const once = new SaidOnce(log, MOST_SENTENCES)
    this.#reminders = new SaidOnce(log)
    const budget = triesBudget()
    this.#seeker = new Seeker(context, budget)
    this.#checks = new Checks(context, budget)
    this.#relays = new Relays(context)
    this.#trust = new Trust({ ...context, onChange: () => this.#kept.change() })
    this.#given = new GivenRecords({
      rows: tables.peers.rows,
      nowMs: () => platform.clock.nowMs(),
      onRecord: (key, record) => context.access.signed(key, record),
    })
    this.#kept = new Kept({
      ...context,
      ownKey: context.privateSide.summary().public_key ?? undefined,
      content: () => ({
        ...this.#trust.content,
        records: this.#given.linesOf(context.roster.all.map((it) => it.settings)),
      }),
    })
    this.#restore(settings)
    const introduced = new Introduced({ ...context, trust: this.#trust, once })
    this.#introduced = introduced
    const sources = new Sources(context, {
      changed: (key) => this.#change(key),
      refused: (why) => {
        tables.counters.own.count('dropIntroductionRefused')
        once.say(why)
      },
    })
    this.#sources = sources
    this.#places = new Places((key) => sources.told.of(key))
    this.#own = new OwnSide(context, {
      isBehindNat: () => {
        const { public_key: key } = context.privateSide.summary()
        const own = sources.introducers.membersOf(key ?? '')
        return own.some(({ endpoints }) => isBehindNat(endpoints) === true)
      },
      claimed: (nowMs) => this.#checks.again(nowMs),
    })
    this.#introducer = settings.introduce
      ? new IntroducerSide({ ...context, given: this.#given, kept: this.#kept, once })
      : undefined
    channel.onMessage((row, message, from) => {
      if (message.content !== undefined) this.#hear(row, message)
      else this.#checks.heard(row, message, from)
    })
  }

  /** Takes what an earlier run has kept. Even if nobody introduces anybody now, a reload may bring an introducer. */
  #restore({ network_key }: Settings): void {
    const kept = this.#kept.load()
    if (kept === undefined) return
    this.#trust.restore(kept)
    this.#networkKey = network_key
    this.#given.follow(network_key)
    this.#given.restore(kept.records)
  }

  /** Takes back what others have made for this host, and writes what is to be kept. */
  async close(): Promise<void> {
    this.#own.mapping.close()
    await this.#sources.close()
    await this.#kept.close()
  }

  /** The peers beside those of `settings`. */
  membersBeside(settings: Settings): readonly PeerSettings[] {
    return this.#introduced.beside(settings, this.#sources.told)
  }

  #hear(row: number, { type, content }: ControlMessage): void {
    const peer = this.#context.roster.at(row)
    if (content === undefined || peer === undefined) return
    if (type === 'introduction') this.#sources.introducers.learn(peer, content)
    else if (type !== 'ask') return
    else if (this.#introducer !== undefined) this.#introducer.asked(peer, content)
    else this.#context.tables.counters.own.count('dropIntroductionUnasked')
  }

  /**
   * A person gives the signed record of a member, and others are told of that member then.
   * @throws UserError; nothing has changed then
   */
  addRecord(line: string): AddedRecord {
    const added = addRecord(line, this.#given, this.#context)
    this.#kept.change()
    return added
  }

  /** Whether a member has a signed record; undefined if it needs none. */
  isSigned(peer: Peer): boolean | undefined {
    return this.#introducer?.isSigned(peer)
  }

  /** Must be called often. */
  tick(): void {
    const { platform, peers, wanted } = this.#context
    const nowMs = platform.clock.nowMs()
    this.#followSettings()
    this.#introducer?.look(nowMs)
    if (this.#sources.any) this.#own.look(nowMs)
    // A reload may have removed the last introducer.
    else this.#own.mapping.look(undefined)
    this.#sources.tick(this.#own.claims, wanted(), nowMs)
    this.#introduced.look(this.#sources.told, nowMs)
    peers.followCarrying()
    this.#relays.look((peer) => this.#sources.introducers.relaysOf(peer), nowMs)
    this.#seeker.look((key) => this.#places.of(key), nowMs)
    this.#checks.look((key) => this.#places.of(key), nowMs)
    this.#kept.tick()
  }

  /** This host's addresses may be others now. */
  ownChanged(): void {
    this.#own.changed()
  }

  /** Null if no router is asked for a mapping. */
  get portMapping(): PortMappingStatus | null {
    return this.#own.mapping.status
  }

  /** Null if the settings name no peer source. */
  get discovery(): SourceStatus | null {
    return this.#sources.status(this.#context.platform.clock.nowMs())
  }

  /** A reload may have brought another network key, or another record of this host. */
  #followSettings(): void {
    const { platform, wanted } = this.#context
    const { network_key, record } = wanted()
    const reminder = reminderOf(record, platform.clock.unixMs() / 1_000)
    if (reminder !== undefined) this.#reminders.say(reminder)
    if (network_key === this.#networkKey) return
    this.#networkKey = network_key
    this.#given.follow(network_key)
    for (const { member } of this.#sources.told.all()) this.#change(formatKey(member.publicKey))
  }

  /** A member is told otherwise than before, by its public key in base64. */
  #change(key: string): void {
    this.#introduced.changed(key)
    this.#places.changed(key)
    this.#seeker.changed()
  }
}
