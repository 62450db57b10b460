import { C } from '../../memory/counters.js'
import type { Drops } from '../../memory/drops.js'
import type { PeerTable } from '../../memory/peer-table.js'
import type { Entry } from './entry.js'
import { FRAGMENTED, type Passing, type PathPolicy, REFUSED, WHOLE } from './path-policy.js'
import { MESSAGES } from './send-batch.js'
import type { Sender } from './sender.js'

/** One batch should have room for this many messages to each peer. Otherwise the batch is sent first. */
const FLOOD_MESSAGES = 4

/** The most peers of whom that can be so. Beyond, each peer has its turn, in as many batches as needed. */
const MOST_AT_ONCE = MESSAGES / FLOOD_MESSAGES

export interface FloodOptions {
  readonly peers: PeerTable
  readonly pathPolicy: PathPolicy
  readonly drops: Drops
}

/**
 * Adds an entry of the outbound ring for all peers. The entry is segmented and checksummed only once, and the
 * messages to the peers share this memory. In a private tunnel each peer gets messages of its own.
 */
export class Flood {
  readonly #peers: PeerTable
  readonly #pathPolicy: PathPolicy
  readonly #sender: Sender
  readonly #drops: Drops
  /** Whether each peer has its turn: in a private tunnel, or if there are very many; and whose turn it is. */
  #hasTurns = false
  #turn = 0
  /** 1 for each peer that gets no more of the entry; and whether there is such a peer. */
  readonly #leftOut: Uint8Array
  #leavesOut = false

  constructor(options: FloodOptions, sender: Sender) {
    this.#peers = options.peers
    this.#pathPolicy = options.pathPolicy
    this.#sender = sender
    this.#drops = options.drops
    this.#leftOut = new Uint8Array(options.peers.rows)
  }

  /** The next entry for all peers begins. */
  begin(): void {
    this.#hasTurns = this.#sender.seals || this.#peers.countInUse > MOST_AT_ONCE
    this.#turn = 0
    if (this.#leavesOut) this.#leftOut.fill(0)
    this.#leavesOut = false
  }

  /** Adds the entry, all of it or as much as fits. False if the batch must be sent first. */
  add(entry: Entry): boolean {
    return this.#hasTurns ? this.#addToEach(entry) : this.#addToAll(entry)
  }

  /** One peer after the other, in as many batches as needed. */
  #addToEach(entry: Entry): boolean {
    const peers = this.#peers
    if (peers.countInUse === 0) this.#drops.ofNobody(C.dropUnreachable, entry.frames)
    for (; this.#turn < peers.rowsInUse; this.#turn++) {
      if (!peers.inUse(this.#turn)) continue
      if (this.#sender.full) return false
      if (!entry.addTo(this.#turn) || !entry.isAdded) return false
      entry.restart()
    }
    entry.finish()
    return true
  }

  /**
   * A peer that misses one part of the entry gets none of the following parts either. These are counted at
   * once.
   */
  #addToAll(entry: Entry): boolean {
    const sender = this.#sender
    const peers = this.#peers
    const room = Math.floor(sender.room / Math.max(1, peers.countInUse))
    if (room < FLOOD_MESSAGES && !sender.isEmpty) return false
    const { left } = entry
    if (!sender.opens(this.#passingToAll(entry) === FRAGMENTED, this.#allTakeRuns())) return false
    let reached = false
    let added = false
    sender.beginFlood()
    for (let row = 0; row < peers.rowsInUse; row++) {
      if (!peers.inUse(row)) continue
      reached = true
      if (this.#leftOut[row] !== 0) continue
      if (entry.passingTo(row) === REFUSED) {
        this.#leaveOut(row)
        entry.refuse(row, left)
      } else if (!added) {
        entry.add(row, room)
        added = true
      } else if (!sender.repeat(row)) {
        this.#leaveOut(row)
        this.#drops.outbound(C.dropUnreachable, row, left)
      }
    }
    sender.endFlood()
    if (added) return true
    if (!reached) this.#drops.ofNobody(C.dropUnreachable, left)
    entry.finish()
    return true
  }

  /** How an entry goes to all peers: FRAGMENTED if it must be fragmented for any of them. */
  #passingToAll(entry: Entry): Passing {
    const peers = this.#peers
    for (let row = 0; row < peers.rowsInUse; row++)
      if (peers.inUse(row) && entry.passingTo(row) === FRAGMENTED) return FRAGMENTED
    return WHOLE
  }

  /**
   * Whether all peers take runs. The messages to all peers share the same frames, so either all are runs or
   * none.
   */
  #allTakeRuns(): boolean {
    const peers = this.#peers
    for (let row = 0; row < peers.rowsInUse; row++)
      if (peers.inUse(row) && !this.#pathPolicy.takesRuns(row)) return false
    return true
  }

  #leaveOut(row: number): void {
    this.#leftOut[row] = 1
    this.#leavesOut = true
  }
}
