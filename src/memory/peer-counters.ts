import type { NativeMemory } from '../linux/memory.js'

/**
 * What the workers count for each peer, in addition to the totals. As in counters.ts, each worker has a block
 * of its own and is its only writer. Each row of the peer table has a cache line of 64-bit floats.
 */
const PEER_COUNTERS = [
  'sentFrames',
  'sentBytes',
  'receivedFrames',
  'receivedBytes',
  /** Dropped frames: those to the peer, and those from it. */
  'droppedOutbound',
  'droppedInbound',
  /** Messages from the peer without a frame for the device: control frames, and WireGuard's keepalives. */
  'receivedKeepalives',
  /** Those of all messages from the peer that an introducer relayed. */
  'receivedRelayed',
] as const

export type PeerCounterName = (typeof PEER_COUNTERS)[number]

/** Floats from one peer's counters to the next peer's. */
export const PEER_STRIDE = 8

/** The index of each counter in a peer's line. */
export const P = Object.fromEntries(PEER_COUNTERS.map((name, index) => [name, index])) as Readonly<
  Record<PeerCounterName, number>
>

export function peerCounterBytes(rows: number): number {
  return rows * PEER_STRIDE * 8
}

/** The block at offset `at`, a multiple of 64. */
export function peerCounterBlock(memory: NativeMemory, at: number, rows: number): Float64Array {
  return memory.f64.subarray(at >>> 3, (at >>> 3) + rows * PEER_STRIDE)
}

export type PeerCounts = Readonly<Record<PeerCounterName, number>>

/** The counters of the peer in this row by name, summed over the blocks. */
export function sumPeerCounters(row: number, ...blocks: readonly Float64Array[]): PeerCounts {
  const sums: Record<PeerCounterName, number> = {
    sentFrames: 0,
    sentBytes: 0,
    receivedFrames: 0,
    receivedBytes: 0,
    droppedOutbound: 0,
    droppedInbound: 0,
    receivedKeepalives: 0,
    receivedRelayed: 0,
  }
  const at = row * PEER_STRIDE
  // Main asks often, and for thousands of peers, so the names are written out.
  for (const block of blocks) {
    sums.sentFrames += block[at + P.sentFrames]
    sums.sentBytes += block[at + P.sentBytes]
    sums.receivedFrames += block[at + P.receivedFrames]
    sums.receivedBytes += block[at + P.receivedBytes]
    sums.droppedOutbound += block[at + P.droppedOutbound]
    sums.droppedInbound += block[at + P.droppedInbound]
    sums.receivedKeepalives += block[at + P.receivedKeepalives]
    sums.receivedRelayed += block[at + P.receivedRelayed]
  }
  return sums
}
