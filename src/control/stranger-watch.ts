import type { Logger } from 'pino'
import { formatEndpoint } from '../config/addresses.js'
import { decodeSockaddr, type Endpoint } from '../linux/sockaddr.js'
import type { Stranger } from '../memory/stranger.js'
import type { Roster, RosterPeer } from './peer/roster.js'

/** A peer that answers from elsewhere only until it is spoken to does so no longer than this. */
const PATIENCE_MS = 2_000

/** How many sources are remembered. */
const MAX_SOURCES = 16

interface Source {
  readonly endpoint: Endpoint
  readonly peer: string
  readonly firstMs: number
  said: boolean
}

/**
 * Says, once for each source, that something is dropped because it is from no peer, although it is from the host of
 * one: from another port, or from another address of its name. It goes by one source a second, so in a flood it may
 * miss some.
 */
export class StrangerWatch {
  readonly #stranger: Pick<Stranger, 'take'>
  readonly #roster: Pick<Roster, 'all' | 'get'>
  readonly #log: Pick<Logger, 'warn'>
  readonly #sources = new Map<string, Source>()

  constructor(
    stranger: Pick<Stranger, 'take'>,
    roster: Pick<Roster, 'all' | 'get'>,
    log: Pick<Logger, 'warn'>,
  ) {
    this.#stranger = stranger
    this.#roster = roster
    this.#log = log
  }

  /** Must be called once a second. */
  look(nowMs: number): void {
    const sockaddr = this.#stranger.take()
    const again = sockaddr && this.#find(decodeSockaddr(sockaddr), nowMs)
    for (const source of this.#sources.values()) {
      if (source.said || nowMs - source.firstMs < PATIENCE_MS) continue
      const peer = this.#roster.get(source.peer)
      if (peer !== undefined && (source === again || peer.state !== 'up')) this.#say(source, peer)
    }
  }

  /** The source, if it is a host of a peer. */
  #find(endpoint: Endpoint, nowMs: number): Source | undefined {
    const text = formatEndpoint(endpoint)
    const known = this.#sources.get(text)
    if (known !== undefined || this.#sources.size === MAX_SOURCES) return known
    const peer = this.#roster.all.find(({ addresses }) => addresses.includes(endpoint.address))
    if (peer === undefined) return undefined
    const source = { endpoint, peer: peer.name, firstMs: nowMs, said: false }
    this.#sources.set(text, source)
    return source
  }

  #say(source: Source, { name, endpoint: expected }: RosterPeer): void {
    if (expected === undefined) return
    source.said = true
    const { endpoint } = source
    const [from, at] = [formatEndpoint(endpoint), formatEndpoint(expected)]
    const advice =
      endpoint.address === expected.address
        ? `let it send from port ${expected.port}, or give both hosts keys, because a private tunnel follows a peer behind a NAT`
        : `let it send from ${expected.address} (--listen ${at} there), or give ${from} as its endpoint here`
    this.#log.warn(
      { peer: name, from, expected: at },
      `what comes from ${from} is dropped as foreign: it is the host of ${name}, which is expected at ${at}; ${advice}`,
    )
  }
}
