import { formatEndpoint } from '../../config/addresses.js'
import { publicKeyText } from '../../key-text.js'
import { decodeSockaddr, type Endpoint } from '../../linux/sockaddr.js'
import { encodeName, NO_LOCAL } from '../../memory/name.js'
import type { Rates } from '../../rates.js'
import type { ControlMessage } from '../../wire/control.js'
import type { ControlChannel } from '../control-channel.js'
import type { Faults } from '../faults.js'
import type { Peer } from '../peer/peer.js'
import type { Place } from '../peer/peer-endpoint.js'
import type { Roster } from '../peer/roster.js'
import { familyOf } from '../peer/underlay.js'
import type { Platform } from '../platform.js'
import type { PrivateSide } from '../private/private-side.js'
import { type Candidate, Candidates, type Rank } from './candidates.js'

/** How often the candidates of a peer are made anew of what is told. Routes may have changed. */
const RENEW_MS = 1_000

/** So many places that a peer was heard from, and that nobody has told of, are candidates, for this long. */
const MOST_HEARD = 2
const HEARD_MS = 60_000

/** So many checks of one peer may wait for their answers. Of more, the oldest ones do not count. */
const MOST_WAITING = 16

export interface ChecksContext {
  readonly platform: Pick<Platform, 'clock'>
  readonly roster: Roster<Peer>
  readonly channel: ControlChannel
  readonly privateSide: PrivateSide
  readonly faults: Faults
}

interface Watched {
  readonly candidates: Candidates
  places: ReadonlyMap<string, Place>
  renewMs: number
  /** What {@link places} were made of. */
  endpoints: string
  /** What was told at the last look. */
  told: readonly Endpoint[] | undefined
  readonly heard: Map<string, { readonly endpoint: Endpoint; readonly untilMs: number }>
  readonly waiting: Map<bigint, { readonly key: string; readonly sentMs: number }>
  received: number
  tried: number
  at: string
}

/**
 * Looks for better ways to the peers that were introduced and are reached directly, and has them take these. Those that
 * are relayed are the seeker's.
 */
export class Checks {
  readonly #context: ChecksContext
  readonly #budget: Rates
  readonly #watched = new Map<Peer, Watched>()
  /** The first peer for which the budget was not enough at the last look. The next one begins with it. */
  #cut: Peer | undefined

  /** @param budget of datagrams to places where somebody else may be; one slot */
  constructor(context: ChecksContext, budget: Rates) {
    this.#context = context
    this.#budget = budget
  }

  /** Must be called often. @param placesOf where a peer may be, by its public key in base64 */
  look(placesOf: (key: string) => readonly Endpoint[], nowMs: number): void {
    const { faults, roster } = this.#context
    const isDirect = (it: Peer) => it.settings.introduced_by !== undefined && it.carries && !it.isRelayed
    for (const peer of this.#watched.keys())
      if (roster.at(peer.row) !== peer || !isDirect(peer)) this.#watched.delete(peer)
    const all = roster.all.filter(isDirect)
    const first = this.#cut === undefined ? 0 : Math.max(all.indexOf(this.#cut), 0)
    this.#cut = undefined
    for (const peer of [...all.slice(first), ...all.slice(0, first)])
      faults.run('introductions', () => this.#lookAt(peer, placesOf(keyOf(peer)), nowMs), peer.name)
  }

  /** This host's own addresses have changed. */
  again(nowMs: number): void {
    for (const { candidates } of this.#watched.values()) candidates.again(nowMs)
  }

  /** @param from where a check, or an answer, has come from, if that is not where the peer is */
  heard(row: number, { type, token }: ControlMessage, from: Uint8Array | undefined): void {
    if (type !== 'check' && type !== 'check_ack') return
    const peer = this.#context.roster.at(row)
    const watched = peer && this.#watched.get(peer)
    if (watched === undefined) return
    const nowMs = this.#context.platform.clock.nowMs()
    const waiting = type === 'check_ack' ? watched.waiting.get(token) : undefined
    if (waiting !== undefined) {
      watched.waiting.delete(token)
      watched.candidates.answered(waiting.key, nowMs - waiting.sentMs, nowMs)
    }
    if (from !== undefined) this.#note(watched, decodeSockaddr(from), nowMs)
  }

  /** The peer is heard from a place: its NAT may have made one that nobody else knows of. */
  #note({ heard, places }: Watched, endpoint: Endpoint, nowMs: number): void {
    const key = formatEndpoint(endpoint)
    if (heard.size >= MOST_HEARD && !heard.has(key)) return
    if (places.has(key) && !heard.has(key)) return
    heard.set(key, { endpoint, untilMs: nowMs + HEARD_MS })
  }

  #lookAt(peer: Peer, told: readonly Endpoint[], nowMs: number): void {
    const watched = this.#watch(peer)
    this.#renew(peer, watched, told, nowMs)
    const { candidates } = watched
    const { receivedFrames } = peer.traffic
    const { tried } = peer.ways
    const at = peer.endpoint === undefined ? '' : formatEndpoint(peer.endpoint)
    if (at !== watched.at) candidates.moved(nowMs)
    watched.at = at
    const { checks, move } = candidates.tick({
      nowMs,
      present: presentOf(peer),
      heard: receivedFrames !== watched.received,
      sent: tried !== watched.tried,
      roundTripMs: this.#context.channel.roundTrips.smoothedMs(peer.row),
      allows: () => this.#allows(peer, nowMs),
    })
    watched.received = receivedFrames
    watched.tried = tried
    for (const { key } of checks) this.#check(peer, watched, key, key === at, nowMs)
    const place = move && watched.places.get(move.key)
    if (place !== undefined) peer.moveTo(place.sockaddr)
  }

  /** Whether one more check of a peer may go to a place where somebody else may be. */
  #allows(peer: Peer, nowMs: number): boolean {
    const isAllowed = this.#budget.allows(0, nowMs)
    if (!isAllowed) this.#cut ??= peer
    return isAllowed
  }

  #watch(peer: Peer): Watched {
    const known = this.#watched.get(peer)
    if (known !== undefined) return known
    const { receivedFrames: received } = peer.traffic
    const { tried } = peer.ways
    const made: Watched = {
      candidates: new Candidates(peer.isFirst),
      places: new Map(),
      renewMs: 0,
      endpoints: '',
      told: undefined,
      heard: new Map(),
      waiting: new Map(),
      received,
      tried,
      at: '',
    }
    this.#watched.set(peer, made)
    return made
  }

  #renew(peer: Peer, watched: Watched, told: readonly Endpoint[], nowMs: number): void {
    for (const [key, { untilMs }] of watched.heard) if (untilMs <= nowMs) watched.heard.delete(key)
    if (told === watched.told && watched.heard.size === 0 && nowMs < watched.renewMs) return
    watched.told = told
    const endpoints = [...told, ...[...watched.heard.values()].map(({ endpoint }) => endpoint)]
    const text = endpoints.map(formatEndpoint).join()
    if (text === watched.endpoints && nowMs < watched.renewMs) return
    watched.endpoints = text
    watched.renewMs = nowMs + RENEW_MS
    const places = endpoints
      .flatMap((it) => peer.place.tryLook(it) ?? [])
      .filter(({ way }) => way.kind === 'host')
    watched.places = new Map(places.map((it) => [formatEndpoint(it.endpoint), it]))
    const candidates = [...watched.places].map(([key, { endpoint, way }]) => ({
      key,
      rank: rankOf(endpoint, way.underlay.gateway),
    }))
    watched.candidates.set(candidates, nowMs)
  }

  #check(peer: Peer, { waiting, places }: Watched, key: string, isPresent: boolean, nowMs: number): void {
    const { channel } = this.#context
    const sockaddr = places.get(key)?.sockaddr
    const name = isPresent ? peer.datagramName : sockaddr && encodeName(sockaddr, NO_LOCAL, false)
    if (name === undefined) return
    const token = channel.newToken()
    const [oldest] = waiting.keys()
    if (waiting.size >= MOST_WAITING && oldest !== undefined) waiting.delete(oldest)
    waiting.set(token, { key, sentMs: nowMs })
    channel.sendTo(peer.row, name, { type: 'check', token, sizeBytes: 0 })
  }
}

function presentOf({ endpoint, underlay }: Peer): Candidate | undefined {
  if (endpoint === undefined) return undefined
  return { key: formatEndpoint(endpoint), rank: rankOf(endpoint, underlay?.gateway) }
}

/** @param gateway the next router; undefined if there is none */
function rankOf({ address }: Endpoint, gateway: string | undefined): Rank {
  if (gateway === undefined) return 'lan'
  return familyOf(address) === 'ipv6' ? 'ipv6' : 'outer'
}

function keyOf({ settings: { public_key } }: Peer): string {
  return public_key === undefined ? '' : publicKeyText(public_key)
}
