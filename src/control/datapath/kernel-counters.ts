import { C } from '../../memory/counters.js'
import { P, PEER_STRIDE } from '../../memory/peer-counters.js'
import type { Tables } from '../tables.js'
import type { KernelCounts, KernelPath } from './kernel-path.js'

const NOTHING: KernelCounts = {
  outFrames: 0,
  outBytes: 0,
  inFrames: 0,
  inBytes: 0,
  notAllowed: 0,
  filtered: 0,
  congested: 0,
}

/** Adds what the kernel has carried to main's own counters, so that it is in every figure that is shown. */
export class KernelCounters {
  readonly #path: KernelPath
  readonly #tables: Tables
  readonly #last = new Map<number, KernelCounts>()

  constructor(path: KernelPath, tables: Tables) {
    this.#path = path
    this.#tables = tables
  }

  /** Takes what has come since the last look at this row. */
  look(row: number): void {
    const now = this.#path.counts(row)
    const before = this.#last.get(row) ?? NOTHING
    this.#last.set(row, now)
    const since = (name: keyof KernelCounts) => now[name] - before[name]
    const { block } = this.#tables.counters.own
    const peer = this.#tables.ownPeerCounters
    const at = row * PEER_STRIDE
    block[C.sentFrames] += since('outFrames')
    block[C.sentBytes] += since('outBytes')
    block[C.receivedFrames] += since('inFrames')
    block[C.receivedBytes] += since('inBytes')
    block[C.writtenFrames] += since('inFrames')
    block[C.writtenBytes] += since('inBytes')
    block[C.dropNotAllowed] += since('notAllowed')
    block[C.filtered] += since('filtered')
    block[C.dropCongested] += since('congested')
    peer[at + P.sentFrames] += since('outFrames')
    peer[at + P.sentBytes] += since('outBytes')
    const dropped = since('notAllowed') + since('filtered') + since('congested')
    peer[at + P.receivedFrames] += since('inFrames') + dropped
    peer[at + P.receivedBytes] += since('inBytes')
    peer[at + P.droppedInbound] += dropped
  }
}
