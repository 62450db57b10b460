import { KEY_BYTES } from '../crypto/ciphers.js'
import { ACCESS_RULES_BYTES } from './access-rules.js'
import { COUNTER_BLOCK_BYTES } from './counters.js'
import { CRYPTO_BATCH_BYTES } from './crypto-batch.js'
import { CRYPTO_BELL_BYTES } from './crypto-bell.js'
import { fdbBytes } from './fdb-layout.js'
import { flowsBytes } from './flows.js'
import { IDENTITY_KEYS_BYTES } from './identity-keys.js'
import { keypairTableBytes } from './keypair-table.js'
import { MAILBOX_DATA_BYTES } from './mailbox.js'
import { pathLimitBytes } from './path-limits.js'
import { peerCounterBytes } from './peer-counters.js'
import { peerTableBytes } from './peer-table.js'
import { relayTableBytes } from './relay-table.js'
import { ringBytes } from './ring.js'
import { routesBytes } from './routes.js'
import { HOP_SLOTS_BYTES, OPENING_SLOTS_BYTES, SEALING_SLOTS_BYTES } from './slots.js'
import { stormBytes } from './storm-limit.js'
import { STRANGER_BYTES } from './stranger.js'

/** Which worker: `tap` reads the tap, `udp` receives from the UDP socket. */
export type WorkerRole = 'tap' | 'udp'

/** Room in each worker for frames that wait for keys. */
export const WAITING_FRAMES_BYTES = 128 * 1024

/** Where everything lies in the one shared memory. Offsets in bytes, multiples of 64. */
export interface MemoryPlan extends TunnelPlan {
  readonly bytes: number
  /** For each crypto worker. */
  readonly cryptoWorkers: readonly CryptoWorkerPlan[]
  /** A small tunnel for each worker, used only to warm up. */
  readonly warmUp: { readonly tap: WarmUpPlan; readonly udp: WarmUpPlan }
}

/** Both ends of a tunnel. */
export interface WarmUpPlan extends TunnelPlan {
  /** The far end's FDB. There the same addresses are behind the other port. */
  readonly farFdb: number
}

/** What one tunnel needs. */
export interface TunnelPlan {
  /** Where the tunnel's memory ends. */
  readonly end: number
  /** Control words, i32 each: see {@link StateWord}. */
  readonly state: number
  /** The peer table. `peerRows`, a power of two, is the number of its rows. */
  readonly peers: number
  /** A sender that is no peer: see stranger.ts. */
  readonly stranger: number
  /** The path limits of each peer: see path-limits.ts. */
  readonly pathLimits: number
  readonly peerRows: number
  /** The words of the offloads: see offloads.ts. */
  readonly offloads: number
  /** From the tap to the network. */
  readonly outbound: RingPlan
  /** From the network to the tap. */
  readonly inbound: RingPlan
  /** The mailbox for control frames, from the workers to main: see mailbox.ts. */
  readonly control: number
  /** Learnt addresses (fdb.ts), configured addresses (routes.ts), and the limit on broadcasts. */
  readonly fdb: number
  readonly routes: number
  /** Who else may send from an address while it changes hands: the same form as {@link routes}. */
  readonly heirs: number
  readonly routeLimit: number
  readonly storm: number
  /** Who may send to this host (access-rules.ts), and the flows that are remembered for that (flows.ts). */
  readonly accessRules: number
  readonly flows: number
  /**
   * The keypairs of a private tunnel, the number of their rows, and the mailbox for handshake messages to main.
   */
  readonly keypairs: number
  readonly keypairRows: number
  readonly handshakes: number
  /** What follows from this host's public key: see identity-keys.ts. */
  readonly identity: number
  /** Whom relayed messages name: see relay-table.ts. */
  readonly relays: number
  /** The part that holds all keys: the keypairs, and the workers' own copies. */
  readonly secrets: Part
  readonly tap: WorkerPlan
  readonly udp: WorkerPlan
  /** What wakes the crypto workers: see crypto-bell.ts. */
  readonly cryptoBell: number
}

export interface CryptoWorkerPlan {
  /** Where messages are opened: see ciphers.ts. */
  readonly slots: number
  readonly scratch: number
}

/** A part of the memory, in bytes. */
export interface Part {
  readonly at: number
  readonly bytes: number
}

/** The parts of {@link TunnelPlan.secrets} that the first rows use. */
export function secretsOfFirst(rows: number, plan: TunnelPlan): Part[] {
  const keypairRows = Math.min(plan.keypairRows, rows * KEYPAIRS_PER_PEER)
  const own = [plan.tap, plan.udp].flatMap((it) => [it.keys, it.relayKeys, it.hopKeys])
  return [
    { at: plan.keypairs, bytes: keypairTableBytes(keypairRows, plan.peerRows) },
    ...own.map((at) => ({ at, bytes: 2 * keypairRows * KEY_BYTES })),
  ]
}

export interface RingPlan {
  readonly at: number
  readonly dataBytes: number
}

export interface WorkerPlan {
  readonly counters: number
  readonly peerCounters: number
  /** The worker's own memory, for the structures that it passes to the kernel with the frames. */
  readonly scratch: number
  /** Where messages are sealed and opened: see sealer.ts. */
  readonly slots: number
  readonly relaySlots: number
  /** The keys for sealing and opening there: see ciphers.ts. */
  readonly keys: number
  readonly relayKeys: number
  /** The same for the headers of relayed messages: see relay-headers.ts. */
  readonly hopSlots: number
  readonly hopKeys: number
  /** Where frames wait for keys: see waiting-frames.ts. */
  readonly waitingFrames: number
  /** Messages that others help to seal or to open: see crypto-batch.ts. */
  readonly sealingBatch: number
  readonly openingBatch: number
}

/**
 * Words of the state area. Only main writes them, except `controlTold` and `handshakesTold` (mailbox.ts),
 * `fragmenting` (path-policy.ts), `deviceReader` (device-reader.ts), and the workers' epochs and pulses (epoch.ts,
 * pulse.ts).
 * - `acceptAny`: the row, plus one, of the peer that unknown senders are taken for; 0 for none.
 * - `maxFrameBytes`: the longest frame or packet accepted from the network; it changes with the underlay's MTU.
 * - `clampFrameBytes`: the longest frame that the MSS of TCP connections may allow; 0 for no limit.
 * - `paddingLimit`: a frame of a private tunnel is not padded beyond this length.
 * - `relayLimit`: how much is relayed for one member, in bytes in a millisecond; 0 for nothing.
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
  pulse: 12,
  tapPulse: 13,
  udpPulse: 14,
  relayLimit: 15,
  deviceReader: 16,
} as const
export const STATE_BYTES = 128

/** Bytes of each worker's scratch. */
export const SCRATCH_BYTES = 1088 * 1024

/**
 * Room in the rings. The outbound ring is small, so that a super-frame is sent while it is still in the core's
 * cache. The inbound ring is large, because a receive reserves more than it fills. Only what is filled is
 * touched.
 */
const OUTBOUND_DATA_BYTES = 512 * 1024
const INBOUND_DATA_BYTES = 4 * 1024 * 1024

/** Overlay addresses and prefixes for each peer, in each family, on average; and of all together at the most. */
const ROUTES_PER_PEER = 16
const MAX_ROUTES = 16_384
/** The previous keypair, the current one, the next one, and one whose handshake is under way. A power of two. */
const KEYPAIRS_PER_PEER = 4

/** @param peerRows a power of two */
export function planMemory(peerRows: number, cryptoWorkers = 0): MemoryPlan {
  const tunnel = planTunnel(peerRows, 0)
  const tap = planWarmUp(tunnel.end)
  const udp = planWarmUp(tap.end)
  let bytes = udp.end
  const workers = Array.from({ length: cryptoWorkers }, () => {
    const slots = bytes
    const scratch = slots + ((OPENING_SLOTS_BYTES + 63) & -64)
    bytes = scratch + SCRATCH_BYTES
    return { slots, scratch }
  })
  return { ...tunnel, cryptoWorkers: workers, warmUp: { tap, udp }, bytes }
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
    slots: take(SEALING_SLOTS_BYTES),
    relaySlots: take(SEALING_SLOTS_BYTES),
    hopSlots: take(HOP_SLOTS_BYTES),
    waitingFrames: take(WAITING_FRAMES_BYTES),
    sealingBatch: take(CRYPTO_BATCH_BYTES),
    openingBatch: take(CRYPTO_BATCH_BYTES),
  })
  const ring = (dataBytes: number) => ({ at: take(ringBytes(dataBytes)), dataBytes })
  const state = take(STATE_BYTES)
  const offloads = take(64)
  const peers = take(peerTableBytes(peerRows))
  const stranger = take(STRANGER_BYTES)
  const pathLimits = take(pathLimitBytes(peerRows))
  const tap = worker()
  const udp = worker()
  const cryptoBell = take(CRYPTO_BELL_BYTES)
  const control = take(ringBytes(MAILBOX_DATA_BYTES))
  const keypairRows = peerRows * KEYPAIRS_PER_PEER
  const secretsAt = next
  const keypairs = take(keypairTableBytes(keypairRows, peerRows))
  const ownKeys = () => take(2 * keypairRows * KEY_BYTES)
  const workerKeys = () => ({ keys: ownKeys(), relayKeys: ownKeys(), hopKeys: ownKeys() })
  const tapKeys = workerKeys()
  const udpKeys = workerKeys()
  const secrets = { at: secretsAt, bytes: next - secretsAt }
  const handshakes = take(ringBytes(MAILBOX_DATA_BYTES))
  const identity = take(IDENTITY_KEYS_BYTES)
  const relays = take(relayTableBytes(peerRows))
  const outbound = ring(OUTBOUND_DATA_BYTES)
  const inbound = ring(INBOUND_DATA_BYTES)
  const routeLimit = Math.min(peerRows * ROUTES_PER_PEER, MAX_ROUTES)
  const routes = take(routesBytes(routeLimit))
  const heirs = take(routesBytes(routeLimit))
  const storm = take(stormBytes(peerRows))
  const fdb = take(fdbBytes(peerRows))
  const accessRules = take(ACCESS_RULES_BYTES)
  const flows = take(flowsBytes(peerRows))
  const tables = { peers, stranger, peerRows, fdb, routes, heirs, routeLimit, storm, accessRules, flows }
  const keys = { keypairs, keypairRows, handshakes, identity, relays, secrets }
  const workers = { tap: { ...tap, ...tapKeys }, udp: { ...udp, ...udpKeys } }
  const rings = { outbound, inbound, control, cryptoBell }
  return { state, offloads, pathLimits, ...rings, ...tables, ...keys, ...workers, end: next }
}
