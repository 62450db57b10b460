import { formatEndpoint } from '../../config/addresses.js'
import { decodeSockaddr } from '../../linux/sockaddr.js'
import { Seldom } from '../seldom.js'
import type { PeerContext } from './context.js'
import { describeRefusal, type Refusal } from './endpoint-refusal.js'
import { isRefusal, type Move, type PeerEndpoint } from './peer-endpoint.js'

/** The least time between two log lines about moves of a peer, or about refused endpoints. */
const SAY_MS = 10_000

/** How many refused endpoints we remember as logged. */
const MAX_REFUSED = 16

/** Follows a peer to where its authentic messages come from, and logs that not too often. */
export class Roaming {
  /** Whether the endpoint is where the peer was heard from, not where its settings say. */
  hasRoamed = false
  readonly #context: Pick<PeerContext, 'platform' | 'log' | 'device'>
  readonly #peer: { readonly name: string; readonly place: PeerEndpoint }
  readonly #moves = new Seldom(SAY_MS)
  readonly #refusals = new Seldom(SAY_MS)
  readonly #refused = new Set<string>()

  constructor(
    context: Pick<PeerContext, 'platform' | 'log' | 'device'>,
    peer: { readonly name: string; readonly place: PeerEndpoint },
  ) {
    this.#context = context
    this.#peer = peer
  }

  /**
   * An authentic message has come from `sockaddr`, so the peer is there now.
   * @param sockaddr the whole socket address; it must not change afterwards
   * @returns the move; undefined if no peer can be there, and the peer keeps its endpoint
   */
  roamTo(sockaddr: Uint8Array): Move | undefined {
    const { place } = this.#peer
    const before = place.endpoint
    const nowMs = this.#context.platform.clock.nowMs()
    const move = place.roam(sockaddr, nowMs)
    if (isRefusal(move)) {
      this.#tellRefused(sockaddr, move, nowMs)
      return undefined
    }
    if (move === 'none') return move
    this.hasRoamed = true
    this.#refused.clear()
    this.#tellMoves(this.#moves.happened(nowMs), before === undefined)
    return move
  }

  /** Must be called once a second. */
  tick(nowMs: number): void {
    this.#tellMoves(this.#moves.due(nowMs))
  }

  /** @param times the number of moves since the last log line; undefined if it is too early to log */
  #tellMoves(times: number | undefined, found = false): void {
    const { name, place } = this.#peer
    if (times === undefined || place.endpoint === undefined) return
    const text = formatEndpoint(place.endpoint)
    const fields = { peer: name, remote: text }
    const { log } = this.#context
    if (times > 1) log.info({ ...fields, moves: times }, `${name} has moved ${times} times, now to ${text}`)
    else log.info(fields, `${name} ${found ? 'is at' : 'has moved to'} ${text}`)
  }

  /** Logs each refused endpoint once, up to {@link MAX_REFUSED}, and not too often. */
  #tellRefused(sockaddr: Uint8Array, refusal: Refusal, nowMs: number): void {
    const { log, device } = this.#context
    const { name, place } = this.#peer
    const endpoint = decodeSockaddr(sockaddr)
    const key = `${refusal} ${endpoint.address}`
    if (this.#refused.has(key) || this.#refused.size === MAX_REFUSED) return
    if (this.#refusals.happened(nowMs) === undefined) return
    this.#refused.add(key)
    const remote = formatEndpoint(endpoint)
    const { what, advice } = describeRefusal(refusal, device.name)
    const then =
      place.endpoint === undefined ? 'it is not answered' : `it stays at ${formatEndpoint(place.endpoint)}`
    log.warn(
      { peer: name, remote, refused: refusal },
      `${name} was heard from ${remote}, which is ${what}, so ${then}; ${advice}`,
    )
  }
}
