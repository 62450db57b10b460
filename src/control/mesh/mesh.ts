import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import type { PeerSettings, Settings } from '../../config/schema.js'
import { UserError } from '../../errors.js'
import { formatKey } from '../../key-text.js'
import type { CounterName } from '../../memory/counters.js'
import { Rates } from '../../rates.js'
import type { ControlMessage } from '../../wire/control.js'
import {
  readAsk,
  readIntroduction,
  type ToldMember,
  writeAsk,
  writeIntroduction,
} from '../../wire/introduction.js'
import type { ControlChannel } from '../control-channel.js'
import type { Faults } from '../faults.js'
import type { Peer } from '../peer/peer.js'
import type { PeerChanges, Peers } from '../peer/peers.js'
import type { Roster } from '../peer/roster.js'
import type { Platform } from '../platform.js'
import type { PrivateSide } from '../private/private-side.js'
import type { Tables } from '../tables.js'
import { type Belief, believe, type Told } from './belief.js'
import { Introducer } from './introducer.js'
import { IntroducerClient } from './introducer-client.js'
import { type KnownMember, placesOf, toldOf } from './member.js'
import { Seeker } from './seeker.js'

/** How many questions of one peer are answered in a second, and in one burst. A member has up to ten in a second. */
const ASKS_PER_SECOND = 20
const ASKS_BURST = 40

/** So many names keep the key with which they were known first, although nobody introduces them any more. */
const MAX_PINS = 1_024

/** So many sentences are remembered as logged. */
const MAX_TOLD = 256

export interface MeshContext {
  readonly settings: Settings
  readonly platform: Pick<Platform, 'clock' | 'random'>
  readonly tables: Tables
  readonly roster: Roster<Peer>
  readonly channel: ControlChannel
  readonly privateSide: PrivateSide
  readonly peers: Pick<Peers, 'followCarrying'>
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
  /** By the names of the introducers. */
  readonly #clients = new Map<string, IntroducerClient>()
  /** What the introducers have told, by introducer and public key, in the order in which they told it first. */
  readonly #told = new Map<string, Told>()
  /** The public keys, in base64, of the members that are told otherwise since the last look. */
  readonly #changed = new Set<string>()
  /** The key that each name was believed with first. */
  readonly #pins = new Map<string, string>()
  /** How each peer was told last, by its row, and what that was made of. */
  readonly #known = new Map<number, KnownMember & { readonly told: ToldMember | undefined }>()
  readonly #sentences = new Set<string>()
  #following = false

  constructor(context: MeshContext) {
    this.#context = context
    const { settings, platform, tables, channel } = context
    const random = () => platform.random(4).readUInt32BE()
    this.#asks = new Rates(tables.peers.rows, ASKS_PER_SECOND, ASKS_BURST)
    this.#seeker = new Seeker(context)
    this.#introducer = settings.introduce
      ? new Introducer({
          newEpoch: random,
          send: (row, it) => this.#send(row, 'introduction', writeIntroduction(it)),
        })
      : undefined
    channel.onMessage((row, message) => this.#hear(row, message))
  }

  /** The peers beside those of `settings`. */
  membersBeside(settings: Settings): readonly PeerSettings[] {
    const { members } = this.#believe(settings)
    for (const { name, public_key } of members)
      if (public_key !== undefined && (this.#pins.has(name) || this.#pins.size < MAX_PINS))
        this.#pins.set(name, formatKey(public_key))
    return members
  }

  #believe(settings: Settings): Belief {
    const { privateSide } = this.#context
    const { public_key: ownKey } = privateSide.summary()
    return believe([...this.#told.values()], {
      settings,
      ownKey: ownKey ?? undefined,
      pins: this.#pins,
      isPossible: (peer) => privateSide.isPossible(peer),
    })
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
  #answer({ row, settings }: Peer, content: Uint8Array): void {
    const position = readAsk(content)
    const nowMs = this.#context.platform.clock.nowMs()
    // Who is a member is in the settings of this host.
    if (this.#introducer === undefined || !isMember(settings)) this.#count('dropIntroductionUnasked')
    else if (position === undefined) this.#count('dropControlMalformed')
    else if (!this.#asks.allows(row, nowMs)) this.#count('dropControlFull')
    else {
      this.#introducer.look(this.#members, (it) => this.#isMember(it), nowMs)
      this.#introducer.asked(row, position, nowMs)
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
    this.#changed.add(key)
    if (member === undefined) this.#told.delete(`${by} ${key}`)
    else this.#told.set(`${by} ${key}`, { by, member })
  }

  /** Must be called often. */
  tick(): void {
    const { platform, roster, peers } = this.#context
    const nowMs = platform.clock.nowMs()
    this.#introducer?.look(this.#members, (row) => this.#isMember(row), nowMs)
    this.#forgetFormer()
    for (const peer of roster.all) if (peer.settings.introducer) this.#ask(peer, nowMs)
    if (this.#changed.size > 0 && !this.#following) this.#follow()
    peers.followCarrying()
    this.#seeker.look((key) => this.#placesOf(key), nowMs)
  }

  /** Those whom this host introduces. */
  get #members(): ToldMember[] {
    const own = this.#context.roster.all.filter(({ settings }) => isMember(settings))
    return own.flatMap((peer) => {
      const { settings, endpoint, row } = peer
      const before = this.#known.get(row)
      // The same object as before, if nothing has changed: there may be hundreds, and this is often asked.
      if (before?.settings === settings && before.endpoint === endpoint) return before.told ?? []
      const told = toldOf({ settings, endpoint })
      this.#known.set(row, { settings, endpoint, told })
      if (told === undefined)
        this.#say(
          `${peer.name} has so many addresses and prefixes that it cannot be introduced to others; write larger prefixes, or fewer of them`,
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
          this.#changed.add(formatKey(member.publicKey))
        }
    }
  }

  #ask({ name, row }: Peer, nowMs: number): void {
    const { privateSide } = this.#context
    const session = privateSide.peer(row)
    const madeMs = session?.hasKeypair ? session.handshakeMs : undefined
    const client = this.#clientOf(name)
    const position = client.ask(madeMs, nowMs)
    if (position === undefined) return
    this.#send(row, 'ask', writeAsk(position))
    if (client.isLost) privateSide.located(row)
  }

  /** Makes peers of those who are believed now. */
  #follow(): void {
    const { faults, follow, log, roster, wanted, onPeers } = this.#context
    const changed = new Set(this.#changed)
    this.#changed.clear()
    const { members, refusals } = this.#believe(wanted())
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

  /** Where the introducers say that a member may be. */
  #placesOf(key: string) {
    const told = [...this.#clients.keys()].flatMap((by) => this.#told.get(`${by} ${key}`) ?? [])
    const all = told.flatMap(({ member }) => placesOf(member))
    return all.filter(
      (it, at) => all.findIndex(({ address, port }) => address === it.address && port === it.port) === at,
    )
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
