import { isDeepStrictEqual } from 'node:util'
import type { PeerSettings } from '../../config/schema.js'
import type { Endpoint } from '../../linux/sockaddr.js'
import { PART } from '../../memory/relay-table.js'
import { relayNameOf } from '../../noise/relay-name.js'
import type { ControlMessage } from '../../wire/control.js'
import type { PathMtu } from '../path-mtu/path-mtu.js'
import type { PeerStatus } from '../status.js'
import { Contact } from './contact.js'
import type { PeerContext } from './context.js'
import { LeftPlace } from './left-place.js'
import type { PeerState } from './liveness.js'
import { type LocatedPeer, Locator } from './locator.js'
import { PeerPath } from './path.js'
import { type Move, PeerEndpoint } from './peer-endpoint.js'
import { PeerNews } from './peer-news.js'
import { reportPeer } from './peer-report.js'
import { Roaming } from './roaming.js'
import type { RosterPeer } from './roster.js'
import type { Ways } from './traffic.js'
import type { Underlay } from './underlay.js'

/** One peer, as main sees it: its endpoint, the path to it, and whether we hear it. */
export class Peer implements RosterPeer, LocatedPeer {
  readonly row: number
  /** Where it is. */
  readonly place: PeerEndpoint
  readonly #context: PeerContext
  #settings: PeerSettings
  readonly #contact: Contact
  readonly #locator: Locator
  readonly #roaming: Roaming
  readonly #path: PeerPath
  readonly #news: PeerNews
  readonly #left = new LeftPlace()
  #relayedWhy = ''

  constructor(row: number, settings: PeerSettings, context: PeerContext) {
    this.row = row
    this.#settings = settings
    this.#context = context
    const { platform, tables, addresses, log } = context
    const isBehindPeer = (mac: Uint8Array) => addresses.isBehindPeer(mac)
    const { isClosed } = this
    this.place = new PeerEndpoint(row, { platform, table: tables.peers, isBehindPeer, isClosed })
    this.#news = new PeerNews({ log, clock: platform.clock }, this)
    this.#path = new PeerPath(context, this)
    this.#roaming = new Roaming(context, this)
    this.#locator = new Locator(context, this)
    this.#contact = new Contact(context, this, (state, before) => this.#stateChanged(state, before))
    context.privateSide?.add(row, settings)
    this.#nameInRelays()
  }

  /** Its present settings. */
  get settings(): PeerSettings {
    return this.#settings
  }

  get name(): string {
    return this.settings.name
  }

  get host(): string {
    return this.settings.endpoint?.host ?? this.name
  }

  get isRelayed(): boolean {
    return this.place.relay !== undefined
  }

  get endpoint(): Endpoint | undefined {
    return this.place.endpoint
  }

  get addresses(): readonly string[] {
    const { endpoint } = this
    return [...(endpoint === undefined ? [] : [endpoint.address]), ...this.#locator.addresses]
  }

  get sockaddr(): Uint8Array | undefined {
    return this.place.sockaddr
  }

  get datagramName(): Uint8Array | undefined {
    return this.place.datagramName
  }

  get underlay(): Underlay | undefined {
    return this.place.underlay
  }

  get source(): string | undefined {
    return this.place.source
  }

  get mtuBytes(): number | undefined {
    return this.isClosed ? undefined : this.#path.mtuBytes
  }

  get carriedMtuBytes(): number | undefined {
    return this.#path.carriedMtuBytes
  }

  get pathMtu(): PathMtu | undefined {
    return this.#path.pathMtu
  }

  get state(): PeerState {
    return this.#contact.state
  }

  /**
   * Whether its overlay addresses lead to it. To a peer that was introduced they do while there is a session. Until then
   * what is for them goes where it has gone before.
   */
  get carries(): boolean {
    if (this.settings.introduced_by === undefined) return true
    return this.state !== 'down' && this.#context.privateSide?.peer(this.row)?.hasKeypair === true
  }

  /** The frames that went to it and came from it, by all datapaths. */
  get traffic(): { readonly sentFrames: number; readonly receivedFrames: number } {
    return this.#contact.totals
  }

  /** Whether only main talks with it: somebody with the line of an invitation, who is no member. */
  get isClosed(): boolean {
    const { invited } = this.settings
    return invited === 'line' || invited === 'spent'
  }

  get hasRoamed(): boolean {
    return this.#roaming.hasRoamed
  }

  /** Why an introducer relays what is for it. */
  get relayedWhy(): string {
    return this.#relayedWhy
  }

  /** Whether this host's public key is the less one: only one of two ends can say so, and both come to the same. */
  get isFirst(): boolean {
    const own = this.#context.privateSide?.ownKey.identity?.publicKey
    const { public_key: key } = this.settings
    return own !== undefined && key !== undefined && own.compare(key) < 0
  }

  /** By which way it was heard, and what was for it, keepalives too; see {@link Traffic.ways}. */
  get ways(): Ways {
    return this.#contact.ways
  }

  /** Whether an introducer would relay what is for it. */
  set hasRelay(hasRelay: boolean) {
    this.#contact.hasRelay = hasRelay
  }

  /**
   * An introducer relays what is for it from now on.
   * @param by undefined: nobody does any more
   * @param why a part of a sentence for a person
   */
  relayBy(by: Peer | undefined, why: string): void {
    this.place.relayBy(by && { row: by.row, name: by.name, place: by.place })
    this.#relayedWhy = why
    this.#contact.moved()
    this.#path.moved('address')
  }

  /** Sends it a keepalive. */
  greet(): void {
    this.#contact.greet()
  }

  /** Finds its endpoint; see {@link Locator.find}. */
  find(signal: AbortSignal): Promise<void> {
    return this.#locator.find(signal)
  }

  /** Looks for its endpoint again, in the background. */
  locate(): void {
    this.#locator.again()
  }

  /** Whether its settings give a name, which has to be looked up. */
  get hasName(): boolean {
    return this.#locator.hasName
  }

  /** Logs why {@link find} has not found it. */
  notFound(error: unknown): void {
    this.#locator.notFound(error)
  }

  /** The tunnel is up. The workers run now, so the path MTU can be searched. */
  start(): void {
    this.#locator.start()
    this.#path.start()
  }

  /** Must be called once a second. @throws KernelError from rtnetlink */
  tick(): void {
    const nowMs = this.#context.platform.clock.nowMs()
    const busy = this.#contact.hasSent()
    const locate = this.#contact.tick()
    this.#path.tick(busy)
    this.#roaming.tick(nowMs)
    this.#locator.tick(nowMs, locate)
  }

  deviceChanged(): void {
    this.#path.limit()
  }

  /** The route to the peer may have changed. @throws KernelError from rtnetlink */
  followUnderlay(): void {
    this.#path.follow()
  }

  said(message: ControlMessage, bytes: number): void {
    this.#contact.said(message)
    this.#path.said(message, bytes)
  }

  /** This host sends from another address from now on. Says so to the peer. */
  rebound(): void {
    const { privateSide } = this.#context
    if (privateSide === undefined) this.#contact.greet()
    else privateSide.rebound(this.row)
    this.pathMtu?.refresh()
  }

  located(move: Move): void {
    const { addresses, privateSide } = this.#context
    this.#roaming.hasRoamed = false
    this.#contact.moved()
    // In a plain tunnel, even another host may be there.
    if (privateSide === undefined) addresses.forget(this.row)
    this.#path.moved(move)
    privateSide?.located(this.row)
  }

  confirmed(): void {
    this.#roaming.hasRoamed = false
  }

  roamTo(sockaddr: Uint8Array): boolean {
    if (this.#left.holds(sockaddr, this.#context.platform.clock.nowMs())) return true
    const move = this.#roaming.roamTo(sockaddr)
    if (move === undefined) return false
    this.#path.moved(move)
    return true
  }

  /**
   * Takes another way to the peer, which an authentic answer has come by. Frames by the former one are still on their way.
   * They do not move the peer back.
   */
  moveTo(sockaddr: Uint8Array): void {
    const { channel, platform, privateSide } = this.#context
    const former = this.sockaddr
    if (!this.roamTo(sockaddr)) return
    if (former !== undefined) this.#left.leave(former, platform.clock.nowMs())
    channel.roundTrips.forget(this.row)
    // The peer follows what it can open.
    privateSide?.rebound(this.row)
    this.#contact.greet()
  }

  spokenTo(local: Uint8Array): void {
    if (this.place.speaksTo(local)) return
    this.place.spokenTo(local)
    this.#path.follow()
    this.#news.source(this.place.from)
  }

  /** Removes the peer. Its row is not free yet for another peer; see peer/rows.ts. */
  remove(): void {
    const { addresses, channel, privateSide, tables } = this.#context
    this.#locator.close()
    this.#path.close()
    channel.roundTrips.forget(this.row)
    privateSide?.remove(this.row)
    tables.peers.clear(this.row)
    tables.relays.clear(this.row)
    addresses.forgetLater(this.row)
    this.settings.preshared_key_file?.wipe()
  }

  /**
   * Changes the settings of the same peer. What we know of it stays; its endpoint, until a new one is found.
   * @param isPlaced whether it is where the settings say from now on, even if they said the same before
   */
  change(settings: PeerSettings, isPlaced: boolean): void {
    const before = this.settings
    this.#settings = settings
    this.#context.privateSide?.change(this.row, settings)
    this.#nameInRelays()
    before.preshared_key_file?.wipe()
    if (!isPlaced && isDeepStrictEqual(settings.endpoint, before.endpoint)) return
    this.#roaming.hasRoamed = false
    this.#locator.changed()
  }

  /** Tells the workers how relayed messages name it, and what it may be in a relay. */
  #nameInRelays(): void {
    const { public_key, introducer, introduced_by } = this.settings
    if (public_key === undefined) return
    const parts =
      introduced_by === undefined ? PART.member | (introducer === true ? PART.introducer : 0) : PART.far
    this.#context.tables.relays.set(this.row, relayNameOf(public_key), parts)
  }

  status(): PeerStatus {
    return reportPeer(this, this.#contact, this.#locator.trouble, this.#context)
  }

  #stateChanged(state: PeerState, before: PeerState): void {
    if (state === 'down') this.#context.addresses.forget(this.row)
    this.#news.state(state, before)
  }
}
