import type { MemoryPlan, TunnelPlan, WorkerRole } from '../memory/plan.js'
import type { DeviceMode } from '../wire/mode.js'

export type { WorkerRole }

/** All of it survives a structured clone. The memory is shared, not copied. */
export interface WorkerTask extends LoopTask {
  readonly memory: WebAssembly.Memory
  readonly plan: MemoryPlan
  /** Whether the worker's first idle moments go to the warm-up. */
  readonly warmUp: boolean
}

/** What one crypto worker needs. */
export interface CryptoTask {
  readonly memory: WebAssembly.Memory
  readonly plan: MemoryPlan
  /** Its number, from 0. */
  readonly number: number
}

/** What one worker's loop is made of. */
export interface LoopTask {
  readonly role: WorkerRole
  readonly plan: TunnelPlan
  readonly mode: DeviceMode
  /** Bits of the DS field (`wire/ecn.ts`) that a datagram's header takes from the packet in it. */
  readonly dsMask: number
  /** Whether frames are passed on between peers. */
  readonly relay: boolean
  readonly tapFd: number
  readonly udpFd: number
  /** The sockets that send the frames of different flows; none if {@link udpFd} does. Their number is a power of two. */
  readonly flowFds: readonly number[]
  readonly tapBellFd: number
  readonly udpBellFd: number
  readonly sockaddrBytes: number
  /** Undefined if the tunnel is not VXLAN. */
  readonly vxlan?: VxlanTask | undefined
  /** Whether others help to seal and to open. */
  readonly spread: boolean
  /** Undefined if the tunnel is not private. */
  readonly keys?: HandshakeKeys | undefined
}

/** VXLAN (`wire/vxlan.ts`): the network's number, and the one port of all ends. */
export interface VxlanTask {
  readonly vni: number
  readonly port: number
}

/** Keys that anyone who knows this end's public key can compute. 32 bytes each. */
export interface HandshakeKeys {
  /** The key of mac1 in messages to this end. */
  readonly mac1: Uint8Array
  /** The key of cookie replies from this end. */
  readonly cookie: Uint8Array
}

/**
 * Posted to main: `ready` once, right before the loop begins; `control` when main must look at the
 * mailboxes and the keypair table.
 */
export type WorkerMessage = { readonly ready: WorkerRole } | { readonly control: true }
