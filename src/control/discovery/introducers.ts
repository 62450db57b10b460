import { publicKeyText } from '../../key-text.js'
import { readIntroduction, type ToldMember, writeAsk } from '../../wire/introduction.js'
import type { ControlChannel } from '../control-channel.js'
import type { Peer } from '../peer/peer.js'
import type { Roster } from '../peer/roster.js'
import type { PrivateSide } from '../private/private-side.js'
import type { Tables } from '../tables.js'
import { IntroducerClient } from './introducer-client.js'
import type { OwnSaid, PeerSource, Tell } from './source.js'

export interface IntroducersContext {
  readonly tables: Pick<Tables, 'counters'>
  readonly roster: Roster<Peer>
  readonly channel: Pick<ControlChannel, 'tell'>
  readonly privateSide: Pick<PrivateSide, 'peer' | 'located'>
}

/** Learns of others from those peers that are introducers: asks them, and passes on what they tell. */
export class Introducers implements PeerSource {
  readonly #context: IntroducersContext
  readonly #tell: Tell
  /** By the names of the introducers. */
  readonly #clients = new Map<string, IntroducerClient>()
  #said: OwnSaid | undefined

  constructor(context: IntroducersContext, tell: Tell) {
    this.#context = context
    this.#tell = tell
  }

  /** Whether there may be an introducer. */
  get any(): boolean {
    return this.#clients.size > 0
  }

  tick(own: OwnSaid | undefined, nowMs: number): void {
    this.#forgetFormer()
    const isOther = this.#said !== own
    this.#said = own
    if (isOther) for (const client of this.#clients.values()) client.tell()
    if (own === undefined) return
    for (const peer of this.#context.roster.all) if (peer.settings.introducer) this.#ask(peer, own, nowMs)
  }

  /** They are peers, and are shown as such. */
  status(): null {
    return null
  }

  async close(): Promise<void> {}

  /** What is told of the host with this public key, in base64. */
  membersOf(key: string): ToldMember[] {
    return [...this.#clients.values()].flatMap((client) => client.member(key) ?? [])
  }

  /** The names of those that introduce a peer and relay. */
  relaysOf({ settings: { public_key } }: Peer): string[] {
    if (this.#clients.size === 0 || public_key === undefined) return []
    const key = publicKeyText(public_key)
    return [...this.#clients].flatMap(([by, client]) =>
      client.relays && client.member(key) !== undefined ? [by] : [],
    )
  }

  /** A peer introduces somebody. */
  learn({ name, settings }: Peer, content: Uint8Array): void {
    const { own } = this.#context.tables.counters
    const introduction = readIntroduction(content)
    if (!settings.introducer) own.count('dropIntroductionUnasked')
    else if (introduction === undefined) own.count('dropControlMalformed')
    else {
      const client = this.#clientOf(name)
      for (const key of client.take(introduction)) this.#tell(name, key, client.member(key))
    }
  }

  #clientOf(name: string): IntroducerClient {
    const client = this.#clients.get(name) ?? new IntroducerClient()
    this.#clients.set(name, client)
    return client
  }

  /** Who is no introducer any more, because a person wants it so, has told nothing. */
  #forgetFormer(): void {
    for (const [name, { keys }] of this.#clients) {
      if (this.#context.roster.get(name)?.settings.introducer) continue
      this.#clients.delete(name)
      for (const key of keys) this.#tell(name, key, undefined)
    }
  }

  #ask({ name, row }: Peer, { record, claims }: OwnSaid, nowMs: number): void {
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
