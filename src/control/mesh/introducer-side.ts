import type { PeerSettings, Settings } from '../../config/schema.js'
import type { CounterName } from '../../memory/counters.js'
import { Rates } from '../../rates.js'
import {
  type Claims,
  readAsk,
  readClaims,
  type ToldMember,
  writeIntroduction,
} from '../../wire/introduction.js'
import type { Addresses } from '../addresses.js'
import type { ControlChannel } from '../control-channel.js'
import type { Peer } from '../peer/peer.js'
import type { Roster } from '../peer/roster.js'
import type { Platform } from '../platform.js'
import type { SaidOnce } from '../said-once.js'
import type { Tables } from '../tables.js'
import { ClaimBook } from './claim-book.js'
import type { GivenRecords } from './given-records.js'
import { Introducer } from './introducer.js'
import type { Kept } from './kept.js'
import { type KnownMember, toldOf } from './member.js'

/** How many questions of one peer are answered in a second, and in one burst. A member has up to ten in a second. */
const ASKS_PER_SECOND = 20
const ASKS_BURST = 40

export interface IntroducerSideContext {
  readonly settings: Pick<Settings, 'relay_limit'>
  readonly platform: Pick<Platform, 'clock' | 'random'>
  readonly tables: Pick<Tables, 'counters' | 'peers'>
  readonly roster: Roster<Peer>
  readonly channel: Pick<ControlChannel, 'tell'>
  readonly addresses: Pick<Addresses, 'ownMac'>
  /** What a person wants now. */
  readonly wanted: () => Pick<Settings, 'network_key'>
  /** The records of its members. */
  readonly given: GivenRecords
  readonly kept: Pick<Kept, 'change'>
  readonly once: SaidOnce
}

/** This host as an introducer: hears what its members say of themselves, and tells them of each other. */
export class IntroducerSide {
  readonly #context: IntroducerSideContext
  readonly #introducer: Introducer
  readonly #asks: Rates
  #hasLooked = false
  /** What the members have said of themselves. */
  readonly #claimBook = new ClaimBook()
  /** How each peer was told last, by its row, and what that was made of. */
  readonly #known = new Map<number, KnownMember & { readonly told: ToldMember | undefined }>()

  constructor(context: IntroducerSideContext) {
    const { settings, platform, tables, channel } = context
    const relays = settings.relay_limit > 0
    this.#context = context
    this.#asks = new Rates(tables.peers.rows, ASKS_PER_SECOND, ASKS_BURST)
    this.#introducer = new Introducer({
      newEpoch: () => platform.random(4).readUInt32BE(),
      send: (row, it) => channel.tell(row, 'introduction', writeIntroduction({ ...it, relays })),
    })
  }

  #count(name: CounterName): void {
    this.#context.tables.counters.own.count(name)
  }

  /** A peer asks for introductions. */
  asked(peer: Peer, content: Uint8Array): void {
    const { row, settings } = peer
    const ask = readAsk(content)
    const nowMs = this.#context.platform.clock.nowMs()
    // Who is a member is in the settings of this host.
    if (!isMember(settings)) this.#count('dropIntroductionUnasked')
    else if (ask === undefined) this.#count('dropControlMalformed')
    else if (!this.#asks.allows(row, nowMs)) this.#count('dropControlFull')
    else {
      const isGiven = ask.record !== undefined && this.#take(peer, ask.record)
      const isClaimed = this.#hearClaims(peer, readClaims(content))
      // All others are looked at often anyway, and thousands may ask.
      if (isGiven || isClaimed || !this.#hasLooked) this.look(nowMs)
      this.#introducer.asked(row, ask, nowMs)
    }
  }

  /** A peer gives the record of itself. @returns whether it is another one now */
  #take({ name, row, settings }: Peer, record: Uint8Array): boolean {
    const { given, kept, once } = this.#context
    const taken = given.take(settings, row, record)
    if (taken === 'taken') kept.change()
    if (typeof taken === 'string') return taken === 'taken'
    this.#count('dropIntroductionRefused')
    once.say(`${name} gives a record of itself ${taken.why}`, 'warn', name)
    return false
  }

  /** A peer says where it is, and which MACs it has. @returns whether that is otherwise than before */
  #hearClaims(peer: Peer, claims: Claims | undefined): boolean {
    if (claims === undefined) return false
    const before = this.#claimBook.of(peer)
    const { addresses, once, roster } = this.#context
    const all = roster.all.filter(({ settings }) => settings.introduced_by === undefined)
    for (const sentence of this.#claimBook.take(peer, claims, all, addresses.ownMac)) {
      this.#count('dropIntroductionRefused')
      once.say(sentence, 'warn', peer.name)
    }
    return this.#claimBook.of(peer) !== before
  }

  /** Must be called often. */
  look(nowMs: number): void {
    this.#hasLooked = true
    this.#introducer.look(this.#members, (row) => this.#isMember(row), nowMs)
  }

  #isMember(row: number): boolean {
    const peer = this.#context.roster.at(row)
    return peer !== undefined && isMember(peer.settings)
  }

  /** Whether a member has a signed record; undefined if it needs none. */
  isSigned({ settings }: Peer): boolean | undefined {
    const { given, wanted } = this.#context
    if (!isMember(settings) || wanted().network_key === undefined) return undefined
    return given.recordOf(settings) !== undefined
  }

  /** Those whom this host introduces. */
  get #members(): ToldMember[] {
    const { given, once, roster, wanted } = this.#context
    const mustBeSigned = wanted().network_key !== undefined
    const own = roster.all.filter(({ settings }) => isMember(settings))
    return own.flatMap((peer) => {
      const { settings, endpoint, row, name } = peer
      const record = given.recordOf(settings)
      const before = this.#known.get(row)
      // The same object as before, if nothing has changed: there may be hundreds, and this is often asked.
      const claims = this.#claimBook.of(peer)
      const isSame = before?.settings === settings && before.endpoint === endpoint
      if (isSame && before.record === record && before.claims === claims) return before.told ?? []
      const isUnsigned = mustBeSigned && record === undefined
      const told = isUnsigned ? undefined : toldOf({ settings, endpoint, record, claims })
      this.#known.set(row, { settings, endpoint, record, claims, told })
      if (isUnsigned)
        once.say(
          `${name} is introduced to others when its signed record is known: from its settings here, or from itself`,
          'info',
          name,
        )
      else if (told === undefined)
        once.say(
          `${name} has so many addresses and prefixes that it cannot be introduced to others; write larger prefixes, or fewer of them`,
          'warn',
          name,
        )
      return told ?? []
    })
  }
}

/** Whether this host tells others of it. A client of WireGuard is reached by this host alone. */
function isMember({ introduced_by, invited = 'member' }: PeerSettings): boolean {
  return introduced_by === undefined && invited === 'member'
}
