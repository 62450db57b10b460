import { C } from '../../memory/counters.js'
import type { Drops } from '../../memory/drops.js'
import type { PeerTable } from '../../memory/peer-table.js'
import { PART, type RelayTable } from '../../memory/relay-table.js'
import type { StateWords } from '../../memory/state-words.js'
import { RELAY_HEADER_BYTES } from '../../wire/relay.js'
import type { RelayHeaders } from '../relay-headers.js'
import { ShareLimit } from './share-limit.js'

/** Sends relayed messages. */
export interface RelayOutlet {
  /** Offset at which the next header must be written, for the peer in this row. */
  header(row: number): number
  /**
   * Adds a message: its header, and the `bytes` bytes at `message`, which must stay in place until {@link flush}.
   * @param dsField of the datagram that it came in. Its ECN is that of the next one, so that no router's mark is lost
   */
  add(row: number, message: number, bytes: number, dsField: number): void
  flush(): void
}

export interface PassingOnOptions {
  readonly table: RelayTable
  readonly peers: PeerTable
  readonly words: StateWords
  readonly headers: RelayHeaders
  readonly outlet: RelayOutlet
  readonly counters: Float64Array
  readonly drops: Drops
  /** A clock that never runs backward. */
  readonly nowMs: () => number
}

/** No time was read yet. */
const UNREAD = -1

/**
 * What an introducer relays: messages of one member for another, which stay sealed between the two. Only members of
 * this host's own settings can be either. One member's share is bounded.
 */
export class PassingOn {
  readonly #options: PassingOnOptions
  readonly #share: ShareLimit
  #nowMs = UNREAD

  constructor(options: PassingOnOptions) {
    this.#options = options
    this.#share = new ShareLimit(options.peers.rows)
  }

  /**
   * Passes a message of the member in the row `from` on.
   * @param low and `high`: the name of the member that it is for
   * @param message its offset, without the header
   * @param dsField of the datagram that it came in
   */
  pass(from: number, low: number, high: number, message: number, bytes: number, dsField: number): void {
    const { table, peers, words, headers, outlet, drops, counters } = this.#options
    const limit = words.relayLimit
    if (limit === 0 || !table.is(from, PART.member)) {
      drops.inbound(C.dropRelayUnasked, from, 1)
      return
    }
    const to = table.find(low, high)
    if (to < 0 || to === from || !table.is(to, PART.member) || !peers.inUse(to)) {
      drops.inbound(C.dropRelayUnknown, from, 1)
      return
    }
    if (this.#nowMs === UNREAD) this.#nowMs = this.#options.nowMs()
    if (!this.#share.allows(from, bytes + RELAY_HEADER_BYTES, limit, this.#nowMs)) {
      drops.inbound(C.dropRelayShare, from, 1)
      return
    }
    if (!headers.toMember(to, from, outlet.header(to))) {
      drops.outbound(C.dropNoKeypair, to, 1)
      return
    }
    outlet.add(to, message, bytes, dsField)
    counters[C.relayedDatagrams]++
    counters[C.relayedBytes] += bytes
  }

  /** Sends what was passed on. Call it after each receive. */
  flush(): void {
    if (this.#nowMs === UNREAD) return
    this.#nowMs = UNREAD
    this.#options.outlet.flush()
  }
}
