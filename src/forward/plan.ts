import { CONTROL_DATA_BYTES } from './control-queue.js'
import { COUNTER_BLOCK_BYTES } from './counters.js'
import { fdbBytes } from './fdb.js'
import { keypairTableBytes } from './keypairs.js'
import { pathLimitBytes } from './path-limits.js'
import { peerCounterBytes } from './peer-counters.js'
import { peerTableBytes } from './peers.js'
import { PLACES_BYTES } from './places.js'
import { ringBytes } from './ring.js'
import { routesBytes } from './routes.js'
import { stormBytes } from './storm.js'
import { WAITING_ROOM_BYTES } from './waiting-room.js'

/** Where everything lies in the one shared memory. Offsets in bytes, multiples of 64. */
export interface MemoryPlan extends TunnelPlan {
  readonly bytes: number
  /** A small tunnel of each worker's own, to warm up with. */
  readonly warmUp: { readonly tap: WarmUpPlan; readonly udp: WarmUpPlan }
}

/** Both ends of a tunnel. */
export interface WarmUpPlan extends TunnelPlan {
  /** What the far end has learnt: there the same addresses are on the other side. */
  readonly farFdb: number
}

/** What one tunnel needs. */
export interface TunnelPlan {
  /** Where it ends. */
  readonly end: number
  /** Control words, i32 each: see {@link StateWord}. */
  readonly state: number
  /** The peer table, and the rows it has: a power of two. */
  readonly peers: number
  /** What the ways to the peers carry: see path-limits.ts. */
  readonly pathLimits: number
  readonly peerRows: number
  /** Words of the offloads in use. */
  readonly offloads: number
  /** Tap to network. */
  readonly outbound: RingPlan
  /** Network to tap. */
  readonly inbound: RingPlan
  /** Workers to main: see control-queue.ts. */
  readonly control: number
  /** What is known of addresses: learnt (fdb.ts), and configured (routes.ts); and the limit on broadcasts. */
  readonly fdb: number
  readonly routes: number
  readonly routeLimit: number
  readonly storm: number
  /** The keypairs of a private tunnel, their rows, and handshake messages on their way to main. */
  readonly keypairs: number
  readonly keypairRows: number
  readonly handshakes: number
  readonly tap: WorkerPlan
  readonly udp: WorkerPlan
}

export interface RingPlan {
  readonly at: number
  readonly dataBytes: number
}

export interface WorkerPlan {
  readonly counters: number
  readonly peerCounters: number
  /** Memory of the worker's own, for what it hands to the kernel beside the frames. */
  readonly scratch: number
  /** Where messages are sealed and opened: see sealer.ts. */
  readonly places: number
  readonly relayPlaces: number
  /** Where frames wait for keys: see waiting-room.ts. */
  readonly waitingRoom: number
}

/**
 * Words of the state area, each written by main alone but `controlTold`, `handshakesTold` (control-queue.ts), `fragmenting`
 * (passage.ts) and the workers' epochs (epoch.ts). `acceptAny` is the row of the peer whom strangers are taken for, plus
 * one, or 0. `maxFrameBytes` is the longest frame or packet taken from the network; it changes with the
 * underlay's MTU. `clampFrameBytes` is the longest frame that the MSS of TCP connections is to allow, 0 for any;
 * `paddingLimit` the length that a frame of a private tunnel is not padded beyond.
 */
export const StateWord = {
  stop: 0,
  acceptAny: 1,
  maxFrameBytes: 2,
  controlTold: 3,
  fragmenting: 4,
  deviceMtuBytes: 5,
  clampFrameBytes: 6,
  paddingLimit: 7,
  handshakesTold: 8,
  epoch: 9,
  tapEpoch: 10,
  udpEpoch: 11,
} as const

/** Bytes of each worker's scratch. */
export const SCRATCH_BYTES = 512 * 1024

/**
 * Room in the rings. Outbound: small, so that a super-frame is sent on while it is still in the core's cache.
 * Inbound: a receive asks for more than it fills, and only what is filled is ever touched.
 */
const OUTBOUND_DATA_BYTES = 512 * 1024
const INBOUND_DATA_BYTES = 4 * 1024 * 1024

/** Overlay addresses and prefixes for each peer, of each family, on the average. */
const ROUTES_PER_PEER = 16
/** The previous keypair, the one in use, the next, and one that a handshake is under way for; a power of two. */
const KEYPAIRS_PER_PEER = 4

/** @param peerRows a power of two */
export function planMemory(peerRows: number): MemoryPlan {
  const tunnel = planTunnel(peerRows, 0)
  const tap = planWarmUp(tunnel.end)
  const udp = planWarmUp(tap.end)
  return { ...tunnel, warmUp: { tap, udp }, bytes: udp.end }
}

function planWarmUp(at: number): WarmUpPlan {
  const tunnel = planTunnel(1, at)
  return { ...tunnel, farFdb: tunnel.end, end: tunnel.end + ((fdbBytes(1) + 63) & -64) }
}

function planTunnel(peerRows: number, at: number): TunnelPlan {
  let next = at
  const take = (bytes: number) => {
    const at = next
    next += (bytes + 63) & -64
    return at
  }
  const worker = () => ({
    counters: take(COUNTER_BLOCK_BYTES),
    peerCounters: take(peerCounterBytes(peerRows)),
    scratch: take(SCRATCH_BYTES),
    places: take(PLACES_BYTES),
    relayPlaces: take(PLACES_BYTES),
    waitingRoom: take(WAITING_ROOM_BYTES),
  })
  const ring = (dataBytes: number) => ({ at: take(ringBytes(dataBytes)), dataBytes })
  const state = take(64)
  const offloads = take(64)
  const peers = take(peerTableBytes(peerRows))
  const pathLimits = take(pathLimitBytes(peerRows))
  const tap = worker()
  const udp = worker()
  const control = take(ringBytes(CONTROL_DATA_BYTES))
  const keypairRows = peerRows * KEYPAIRS_PER_PEER
  const keypairs = take(keypairTableBytes(keypairRows, peerRows))
  const handshakes = take(ringBytes(CONTROL_DATA_BYTES))
  const outbound = ring(OUTBOUND_DATA_BYTES)
  const inbound = ring(INBOUND_DATA_BYTES)
  const routeLimit = peerRows * ROUTES_PER_PEER
  const routes = take(routesBytes(routeLimit))
  const storm = take(stormBytes(peerRows))
  const fdb = take(fdbBytes(peerRows))
  const tables = { peers, peerRows, fdb, routes, routeLimit, storm }
  const keys = { keypairs, keypairRows, handshakes }
  const rings = { outbound, inbound, control }
  return { state, offloads, pathLimits, ...rings, ...tables, ...keys, tap, udp, end: next }
}
