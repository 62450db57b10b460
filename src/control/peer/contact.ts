import type { ControlMessage } from '../../wire/control.js'
import type { PeerTraffic } from '../status.js'
import type { PeerContext } from './context.js'
import { HELLO_MS, PeerLife, type PeerMoment, type PeerState, QUIET_HELLO_MS, SECOND_MS } from './liveness.js'
import type { RosterPeer } from './roster.js'
import { Traffic, type Ways } from './traffic.js'

/** Whom there is contact with. */
export interface ContactedPeer extends Pick<RosterPeer, 'row' | 'endpoint'> {
  /** Of two ends that would ask each other at the same time, this one does. */
  readonly isFirst: boolean
}

/** What goes to a peer and comes from it, keepalives and frames, and whether it is up. */
export class Contact {
  readonly #context: Pick<PeerContext, 'channel' | 'platform' | 'privateSide'>
  readonly #peer: ContactedPeer
  readonly #onState: (state: PeerState, before: PeerState) => void
  readonly #traffic: Traffic
  readonly #life: PeerLife
  /** The token of the last keepalive to the present endpoint. The answer carries the same token. */
  #helloToken: bigint | undefined
  /** How many keepalives have gone to it. */
  #greetings = 0
  /**
   * Whether an introducer would relay what is for it. Then a path that is lost is noticed and left by both ends when it is
   * used, so nobody need ask often.
   */
  hasRelay = false

  /** @param onState the state was `before`, and is another one now */
  constructor(
    context: Pick<PeerContext, 'channel' | 'platform' | 'privateSide' | 'tables'>,
    peer: ContactedPeer,
    onState: (state: PeerState, before: PeerState) => void,
  ) {
    this.#context = context
    this.#peer = peer
    this.#onState = onState
    this.#traffic = new Traffic(peer.row, context.tables.peerCounters)
    this.#life = new PeerLife(this.#moment)
  }

  get state(): PeerState {
    return this.#life.state
  }

  /** Whether it answers keepalives; undefined while that is not known. */
  get answersHello(): boolean | undefined {
    return this.#life.answersHello
  }

  /** Seconds since something came from it; undefined if nothing has. */
  get heardS(): number | undefined {
    const { heardMs } = this.#life
    return heardMs === undefined ? undefined : (this.#context.platform.clock.nowMs() - heardMs) / 1000
  }

  /** Of a keepalive or, if it answers none, of the last renewal of the keys; undefined if neither is known. */
  get roundTripMs(): number | undefined {
    const { channel, privateSide } = this.#context
    const { row } = this.#peer
    return channel.roundTrips.smoothedMs(row) ?? privateSide?.peer(row)?.roundTripMs
  }

  /** The frames that went to it and came from it, by all datapaths. */
  get totals(): { readonly sentFrames: number; readonly receivedFrames: number } {
    return this.#traffic.totals
  }

  /** By which way it was heard, and what was for it, keepalives too; see {@link Traffic.ways}. */
  get ways(): Ways {
    const { tried, ...heard } = this.#traffic.ways
    return { ...heard, tried: tried + this.#greetings }
  }

  /** As `status` shows it. */
  get traffic(): { readonly outbound: PeerTraffic; readonly inbound: PeerTraffic } {
    return this.#traffic.status()
  }

  /** Whether frames have gone to it since the last call. */
  hasSent(): boolean {
    return this.#traffic.hasSent()
  }

  /** Sends it a keepalive, if it is somewhere. */
  greet(): void {
    if (this.#peer.endpoint === undefined) return
    const { channel } = this.#context
    const token = channel.newToken()
    this.#helloToken = token
    this.#greetings++
    channel.hello(this.#peer.row, token)
  }

  /** It has another endpoint. What came from the old one says nothing of the new one. */
  moved(): void {
    this.#helloToken = undefined
    this.#context.channel.roundTrips.forget(this.#peer.row)
    this.#life.moved(this.#moment)
  }

  /** It has sent a control frame. */
  said({ type, token }: ControlMessage): void {
    const before = this.state
    const nowMs = this.#context.platform.clock.nowMs()
    if (type === 'hello' || type === 'probe') this.#life.asked(nowMs)
    if (type === 'hello_ack' && token === this.#helloToken) this.#life.answered(nowMs)
    this.#tellChange(before)
  }

  /** Must be called once a second. @returns whether its endpoint must be looked for again */
  tick(): boolean {
    const before = this.state
    const { hello, locate } = this.#life.tick(this.#moment)
    if (hello) this.greet()
    this.#tellChange(before)
    return locate
  }

  #tellChange(before: PeerState): void {
    if (this.state !== before) this.#onState(this.state, before)
  }

  /** One of the two ends is first, and then the other one has nothing to ask. */
  get #quietHelloMs(): number {
    return this.#peer.isFirst ? QUIET_HELLO_MS : QUIET_HELLO_MS + SECOND_MS
  }

  get #moment(): PeerMoment {
    const { platform, privateSide } = this.#context
    const asks = privateSide?.peer(this.#peer.row)?.asks ?? false
    const helloMs = this.hasRelay ? this.#quietHelloMs : HELLO_MS
    return { nowMs: platform.clock.nowMs(), ...this.#traffic.totals, asks, helloMs }
  }
}
