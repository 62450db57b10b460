import { formatKey, publicKeyText } from '../../key-text.js'
import { type Claims, readIntroduction, type ToldMember, writeAsk } from '../../wire/introduction.js'
import type { SignedRecord } from '../../wire/signed-record.js'
import type { ControlChannel } from '../control-channel.js'
import type { Peer } from '../peer/peer.js'
import type { Roster } from '../peer/roster.js'
import type { PrivateSide } from '../private/private-side.js'
import type { Tables } from '../tables.js'
import { isBehindNat } from './claims.js'
import { IntroducerClient } from './introducer-client.js'
import type { Told } from './told.js'

export interface MemberSideContext {
  readonly tables: Pick<Tables, 'counters'>
  readonly roster: Roster<Peer>
  readonly channel: Pick<ControlChannel, 'tell'>
  readonly privateSide: Pick<PrivateSide, 'peer' | 'located' | 'summary'>
}

/** This host as a member: asks its introducers, and has what they tell. */
export class MemberSide {
  readonly #context: MemberSideContext
  readonly #changed: (key: string) => void
  /** By the names of the introducers. */
  readonly #clients = new Map<string, IntroducerClient>()
  /** What the introducers have told, by introducer and public key, in the order in which they told it first. */
  readonly #told = new Map<string, Told>()

  /** @param changed the member with this public key, in base64, is told otherwise now */
  constructor(context: MemberSideContext, changed: (key: string) => void) {
    this.#context = context
    this.#changed = changed
  }

  /** Whether there may be an introducer. */
  get any(): boolean {
    return this.#clients.size > 0
  }

  /** In the order in which it was told first. */
  get told(): Iterable<Told> {
    return this.#told.values()
  }

  /** What is told of the member with this public key, in base64. */
  toldOf(key: string): Told[] {
    return [...this.#clients.keys()].flatMap((by) => this.#told.get(`${by} ${key}`) ?? [])
  }

  /** Whether this host is behind a NAT, as far as the introducers have told. */
  get isBehindNat(): boolean {
    const { public_key: key } = this.#context.privateSide.summary()
    return this.toldOf(key ?? '').some(({ member }) => isBehindNat(member.endpoints) === true)
  }

  /** Those that introduce a peer and relay. */
  introducersOf({ settings: { public_key } }: Peer): string[] {
    if (this.#clients.size === 0 || public_key === undefined) return []
    const key = publicKeyText(public_key)
    return [...this.#clients].flatMap(([by, { relays }]) =>
      relays && this.#told.has(`${by} ${key}`) ? [by] : [],
    )
  }

  /** A peer introduces somebody. */
  learn(peer: Peer, content: Uint8Array): void {
    const { own } = this.#context.tables.counters
    const client = peer.settings.introducer ? this.#clientOf(peer.name) : undefined
    const introduction = readIntroduction(content)
    if (client === undefined) own.count('dropIntroductionUnasked')
    else if (introduction === undefined) own.count('dropControlMalformed')
    else this.#note(peer.name, client, client.take(introduction))
  }

  #clientOf(name: string): IntroducerClient {
    const client = this.#clients.get(name) ?? new IntroducerClient()
    this.#clients.set(name, client)
    return client
  }

  #note(by: string, client: IntroducerClient, changed: readonly string[]): void {
    for (const key of changed) this.#tell(by, key, client.member(key))
  }

  /** @param member undefined: it is not introduced any more */
  #tell(by: string, key: string, member: ToldMember | undefined): void {
    this.#changed(key)
    if (member === undefined) this.#told.delete(`${by} ${key}`)
    else this.#told.set(`${by} ${key}`, { by, member })
  }

  /** Who is no introducer any more, because a person wants it so, has told nothing. Must be called often. */
  forgetFormer(): void {
    for (const name of this.#clients.keys()) {
      if (this.#context.roster.get(name)?.settings.introducer) continue
      this.#clients.delete(name)
      for (const [place, { by, member }] of this.#told)
        if (by === name) {
          this.#told.delete(place)
          this.#changed(formatKey(member.publicKey))
        }
    }
  }

  /** This host has something else to say of itself, which goes with the next questions. */
  tell(): void {
    for (const client of this.#clients.values()) client.tell()
  }

  /** Asks those introducers whose turn it is. Must be called often. @param claims what this host says of itself */
  ask(claims: Claims, record: SignedRecord | undefined, nowMs: number): void {
    for (const peer of this.#context.roster.all)
      if (peer.settings.introducer) this.#ask(peer, claims, record, nowMs)
  }

  #ask({ name, row }: Peer, claims: Claims, record: SignedRecord | undefined, nowMs: number): void {
    const { channel, privateSide } = this.#context
    const session = privateSide.peer(row)
    const madeMs = session?.hasKeypair ? session.handshakeMs : undefined
    const client = this.#clientOf(name)
    const position = client.ask(madeMs, nowMs)
    if (position === undefined) return
    channel.tell(row, 'ask', writeAsk({ ...position, record: record?.bytes }, claims))
    if (client.isLost) privateSide.located(row)
  }
}
