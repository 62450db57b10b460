import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import type { PeerSettings, Settings } from '../../config/schema.js'
import { UserError } from '../../errors.js'
import { formatKey, publicKeyText } from '../../key-text.js'
import type { CounterName } from '../../memory/counters.js'
import { Rates } from '../../rates.js'
import type { ControlMessage } from '../../wire/control.js'
import {
  type Claims,
  readAsk,
  readClaims,
  readIntroduction,
  type ToldMember,
  writeAsk,
  writeIntroduction,
} from '../../wire/introduction.js'
import type { Access } from '../access.js'
import type { Addresses } from '../addresses.js'
import type { ControlChannel } from '../control-channel.js'
import type { Faults } from '../faults.js'
import type { Peer } from '../peer/peer.js'
import type { PeerChanges, Peers } from '../peer/peers.js'
import type { Roster } from '../peer/roster.js'
import type { Platform } from '../platform.js'
import type { PrivateSide } from '../private/private-side.js'
import type { Tables } from '../tables.js'
import { type AddedRecord, addRecord } from './add-record.js'
import { Checks } from './checks.js'
import { ClaimBook } from './claim-book.js'
import { isBehindNat } from './claims.js'
import { GivenRecords } from './given-records.js'
import { Introducer } from './introducer.js'
import { IntroducerClient } from './introducer-client.js'
import { Kept } from './kept.js'
import type { PortMappingStatus } from './mapping.js'
import { type KnownMember, toldOf } from './member.js'
import { reminderOf } from './own-record.js'
import { OwnSide } from './own-side.js'
import { Places } from './places.js'
import { Relays } from './relays.js'
import { Seeker } from './seeker.js'
import { Sources } from './sources.js'
import type { Told } from './told.js'
import { triesBudget } from './tries.js'
import { Trust } from './trust.js'

/** How many questions of one peer are answered in a second, and in one burst. A member has up to ten in a second. */
const ASKS_PER_SECOND = 20
const ASKS_BURST = 40

/** The least time between two looks at whom to believe. With hundreds of members, one takes 20 ms. */
const FOLLOW_MS = 250

/** So many sentences are remembered as logged. */
const MAX_TOLD = 256

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
  /** What a person wants now, and whom this host has invited: without those whom others introduce. */
  readonly wanted: () => Settings
  /** Changes the peers to those that are {@link Mesh.membersBeside} the settings. */
  readonly follow: () => Promise<PeerChanges>
  /** The peers have changed. */
  readonly onPeers: () => void
}

/** Hosts that find each other: what this host tells as an introducer, and what it learns from others. */
export class Mesh {
  readonly #context: MeshContext
  /** Undefined if this host introduces nobody. */
  readonly #introducer: Introducer | undefined
  readonly #asks: Rates
  readonly #seeker: Seeker
  readonly #relays: Relays
  /** By the names of the introducers. */
  readonly #clients = new Map<string, IntroducerClient>()
  /** What the introducers have told, by introducer and public key, in the order in which they told it first. */
  readonly #told = new Map<string, Told>()
  /** The public keys, in base64, of the members that are told otherwise since the last look. */
  readonly #changed = new Set<string>()
  readonly #places = new Places((key) => this.#toldOf(key))
  readonly #trust: Trust
  readonly #given: GivenRecords
  readonly #kept: Kept
  /** How each peer was told last, by its row, and what that was made of. */
  readonly #known = new Map<number, KnownMember & { readonly told: ToldMember | undefined }>()
  readonly #sentences = new Set<string>()
  readonly #checks: Checks
  /** What the members of this host have said of themselves. */
  readonly #claimBook = new ClaimBook()
  readonly #own: OwnSide
  readonly #sources: Sources
  #following = false
  #nextFollowMs = Number.NEGATIVE_INFINITY
  #networkKey: string | undefined

  constructor(context: MeshContext) {
    this.#context = context
    const { settings, platform, tables, channel } = context
    const relays = settings.relay_limit > 0
    const random = () => platform.random(4).readUInt32BE()
    this.#asks = new Rates(tables.peers.rows, ASKS_PER_SECOND, ASKS_BURST)
    const budget = triesBudget()
    this.#seeker = new Seeker(context, budget)
    this.#checks = new Checks(context, budget)
    this.#own = new OwnSide(context, {
      isBehindNat: () => this.#isBehindNat(),
      claimed: (nowMs) => {
        for (const client of this.#clients.values()) client.tell()
        this.#checks.again(nowMs)
      },
    })
    this.#trust = new Trust({ ...context, onChange: () => this.#kept.change() })
    this.#given = new GivenRecords({
      rows: tables.peers.rows,
      nowMs: () => platform.clock.nowMs(),
      onRecord: (key, record) => context.access.signed(key, record?.groups),
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
    this.#sources = new Sources(context, {
      changed: (keys) => {
        for (const key of keys) this.#change(key)
      },
      refused: (why) => {
        this.#count('dropIntroductionRefused')
        this.#say(why)
      },
    })
    this.#relays = new Relays(context)
    this.#introducer = settings.introduce
      ? new Introducer({
          newEpoch: random,
          send: (row, it) => this.#send(row, 'introduction', writeIntroduction({ ...it, relays })),
        })
      : undefined
    channel.onMessage((row, message, from) => {
      if (message.content !== undefined) this.#hear(row, message)
      else this.#checks.heard(row, message, from)
    })
  }

  /** Takes what an earlier run has kept, if this host introduces somebody or believes somebody. */
  #restore({ introduce, network_key, peers, discovery }: Settings): void {
    if (!introduce && discovery === undefined && !peers.some(({ introducer }) => introducer)) return
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
    const belief = this.#trust.believe(this.#allTold, settings)
    this.#trust.keep(belief)
    return belief.members
  }

  get #allTold(): Told[] {
    return [...this.#told.values(), ...this.#sources.told]
  }

  #send(row: number, type: 'ask' | 'introduction', content: Uint8Array): void {
    const { channel } = this.#context
    channel.send(row, { type, token: channel.newToken(), sizeBytes: content.length, content })
  }

  #count(name: CounterName): void {
    this.#context.tables.counters.own.count(name)
  }

  #hear(row: number, { type, content }: ControlMessage): void {
    if (content === undefined) return
    const peer = this.#context.roster.at(row)
    if (peer === undefined) return
    if (type === 'ask') this.#answer(peer, content)
    else if (type === 'introduction') this.#learn(peer, content)
  }

  /** A peer asks for introductions. */
  #answer(peer: Peer, content: Uint8Array): void {
    const { row, settings } = peer
    const ask = readAsk(content)
    const nowMs = this.#context.platform.clock.nowMs()
    // Who is a member is in the settings of this host.
    if (this.#introducer === undefined || !isMember(settings)) this.#count('dropIntroductionUnasked')
    else if (ask === undefined) this.#count('dropControlMalformed')
    else if (!this.#asks.allows(row, nowMs)) this.#count('dropControlFull')
    else {
      if (ask.record !== undefined) this.#take(peer, ask.record)
      this.#hearClaims(peer, readClaims(content))
      this.#introducer.look(this.#members, (it) => this.#isMember(it), nowMs)
      this.#introducer.asked(row, ask, nowMs)
    }
  }

  /** A peer gives the record of itself. */
  #take({ name, row, settings }: Peer, record: Uint8Array): void {
    const taken = this.#given.take(settings, row, record)
    if (taken === 'taken') this.#kept.change()
    if (typeof taken === 'string') return
    this.#count('dropIntroductionRefused')
    this.#say(`${name} gives a record of itself ${taken.why}`)
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
  isSigned({ settings }: Peer): boolean | undefined {
    if (this.#introducer === undefined || !isMember(settings)) return undefined
    if (this.#context.wanted().network_key === undefined) return undefined
    return this.#given.recordOf(settings) !== undefined
  }

  /** A peer says where it is, and which MACs it has. */
  #hearClaims(peer: Peer, claims: Claims | undefined): void {
    if (claims === undefined) return
    const { addresses, roster } = this.#context
    const all = roster.all.filter(({ settings }) => settings.introduced_by === undefined)
    for (const sentence of this.#claimBook.take(peer, claims, all, addresses.ownMac)) {
      this.#count('dropIntroductionRefused')
      this.#say(sentence)
    }
  }

  #isMember(row: number): boolean {
    const peer = this.#context.roster.at(row)
    return peer !== undefined && isMember(peer.settings)
  }

  /** A peer introduces somebody. */
  #learn(peer: Peer, content: Uint8Array): void {
    const client = peer.settings.introducer ? this.#clientOf(peer.name) : undefined
    const introduction = readIntroduction(content)
    if (client === undefined) this.#count('dropIntroductionUnasked')
    else if (introduction === undefined) this.#count('dropControlMalformed')
    else this.#note(peer.name, client, client.take(introduction))
  }

  #clientOf(name: string): IntroducerClient {
    const client = this.#clients.get(name) ?? new IntroducerClient()
    this.#clients.set(name, client)
    return client
  }

  #note(by: string, { members }: IntroducerClient, changed: readonly string[]): void {
    if (changed.length === 0) return
    const now = new Map(members.map((member) => [formatKey(member.publicKey), member]))
    for (const key of changed) this.#tell(by, key, now.get(key))
  }

  /** @param member undefined: it is not introduced any more */
  #tell(by: string, key: string, member: ToldMember | undefined): void {
    this.#change(key)
    if (member === undefined) this.#told.delete(`${by} ${key}`)
    else this.#told.set(`${by} ${key}`, { by, member })
  }

  /** Must be called often. */
  tick(): void {
    const { platform, roster, peers, wanted } = this.#context
    const nowMs = platform.clock.nowMs()
    this.#followSettings()
    this.#introducer?.look(this.#members, (row) => this.#isMember(row), nowMs)
    this.#forgetFormer()
    if (this.#clients.size > 0 || this.#sources.any) this.#own.look(nowMs)
    this.#sources.tick(this.#own.claims, wanted().record, nowMs)
    for (const peer of roster.all) if (peer.settings.introducer) this.#ask(peer, nowMs)
    const isDue = nowMs >= this.#nextFollowMs && !this.#following
    if (isDue && (this.#changed.size > 0 || this.#trust.isStale)) {
      this.#nextFollowMs = nowMs + FOLLOW_MS
      this.#follow()
    }
    peers.followCarrying()
    this.#relays.look((peer) => this.#introducersOf(peer), nowMs)
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

  /** Whether this host is behind a NAT, as far as the introducers have told. */
  #isBehindNat(): boolean {
    const { public_key: key } = this.#context.privateSide.summary()
    const told = [...this.#clients.keys()].flatMap((by) => this.#told.get(`${by} ${key}`) ?? [])
    return told.some(({ member }) => isBehindNat(member.endpoints) === true)
  }

  /** A reload may have brought another network key, or another record of this host. */
  #followSettings(): void {
    const { platform, wanted } = this.#context
    const { network_key, record } = wanted()
    const reminder = reminderOf(record, platform.clock.unixMs() / 1_000)
    if (reminder !== undefined) this.#say(reminder)
    if (network_key === this.#networkKey) return
    this.#networkKey = network_key
    this.#given.follow(network_key)
    for (const { member } of this.#allTold) this.#change(formatKey(member.publicKey))
  }

  /** Those that introduce a peer and relay. */
  #introducersOf({ settings: { public_key } }: Peer): string[] {
    if (this.#clients.size === 0 || public_key === undefined) return []
    const key = publicKeyText(public_key)
    return [...this.#clients].flatMap(([by, { relays }]) =>
      relays && this.#told.has(`${by} ${key}`) ? [by] : [],
    )
  }

  /** Those whom this host introduces. */
  get #members(): ToldMember[] {
    const { roster, wanted } = this.#context
    const mustBeSigned = wanted().network_key !== undefined
    const own = roster.all.filter(({ settings }) => isMember(settings))
    return own.flatMap((peer) => {
      const { settings, endpoint, row, name } = peer
      const record = this.#given.recordOf(settings)
      const before = this.#known.get(row)
      // The same object as before, if nothing has changed: there may be hundreds, and this is often asked.
      const claims = this.#claimBook.of(peer)
      const isSame = before?.settings === settings && before.endpoint === endpoint
      if (isSame && before.record === record && before.claims === claims) return before.told ?? []
      const isUnsigned = mustBeSigned && record === undefined
      const told = isUnsigned ? undefined : toldOf({ settings, endpoint, record, claims })
      this.#known.set(row, { settings, endpoint, record, claims, told })
      if (isUnsigned)
        this.#say(
          `${name} is introduced to others when its signed record is known: from its settings here, or from itself`,
          'info',
        )
      else if (told === undefined)
        this.#say(
          `${name} has so many addresses and prefixes that it cannot be introduced to others; write larger prefixes, or fewer of them`,
        )
      return told ?? []
    })
  }

  /** Who is no introducer any more, because a person wants it so, has told nothing. */
  #forgetFormer(): void {
    for (const name of this.#clients.keys()) {
      if (this.#context.roster.get(name)?.settings.introducer) continue
      this.#clients.delete(name)
      for (const [place, { by, member }] of this.#told)
        if (by === name) {
          this.#told.delete(place)
          this.#change(formatKey(member.publicKey))
        }
    }
  }

  #ask({ name, row }: Peer, nowMs: number): void {
    const { privateSide, wanted } = this.#context
    const session = privateSide.peer(row)
    const madeMs = session?.hasKeypair ? session.handshakeMs : undefined
    const client = this.#clientOf(name)
    const position = client.ask(madeMs, nowMs)
    if (position === undefined) return
    this.#send(row, 'ask', writeAsk({ ...position, record: wanted().record?.bytes }, this.#own.claims))
    if (client.isLost) privateSide.located(row)
  }

  /** Makes peers of those who are believed now. */
  #follow(): void {
    const { faults, follow, log, roster, wanted, onPeers } = this.#context
    const changed = new Set(this.#changed)
    this.#changed.clear()
    const { members, refusals } = this.#trust.believe(this.#allTold, wanted())
    for (const { key, why, isLoud } of refusals) {
      if (changed.has(key)) this.#count('dropIntroductionRefused')
      this.#say(why, isLoud ? 'warn' : 'info')
    }
    const before = roster.all.flatMap(({ settings }) =>
      settings.introduced_by === undefined ? [] : [settings],
    )
    if (isDeepStrictEqual(before, members)) return
    this.#following = true
    follow()
      .then(({ added, removed, changed }) => {
        const text = Object.entries({ added, removed, changed })
          .filter(([, names]) => names.length > 0)
          .map(([what, names]) => `${names.length} ${what}`)
        if (text.length > 0)
          log.info({ added, removed, changed }, `members were introduced: ${text.join(', ')}`)
        onPeers()
      })
      .catch((error) => {
        // The tunnel stops.
        if (!(error instanceof UserError)) faults.take('introductions', error)
      })
      .finally(() => {
        this.#following = false
      })
  }

  /** What introducers and the peer source tell of a member, by its public key in base64. */
  #toldOf(key: string): Told[] {
    const told = [...this.#clients.keys()].flatMap((by) => this.#told.get(`${by} ${key}`) ?? [])
    return [...told, ...this.#sources.toldOf(key)]
  }

  #change(key: string): void {
    this.#changed.add(key)
    this.#places.changed(key)
  }

  /** Logs a sentence once. */
  #say(sentence: string, level: 'warn' | 'info' = 'warn'): void {
    if (this.#sentences.has(sentence) || this.#sentences.size === MAX_TOLD) return
    this.#sentences.add(sentence)
    this.#context.log[level](sentence)
  }
}

/** Whether this host tells others of it. A client of WireGuard is reached by this host alone. */
function isMember({ introduced_by, invited = 'member' }: PeerSettings): boolean {
  return introduced_by === undefined && invited === 'member'
}
