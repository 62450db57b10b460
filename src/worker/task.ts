import type { MemoryPlan, TunnelPlan, WorkerRole } from '../memory/plan.js'
import type { DeviceMode } from '../wire/mode.js'

export type { WorkerRole }

/** All of it survives a structured clone: the memory is shared, not copied. */
export interface WorkerTask extends LoopTask {
  readonly memory: WebAssembly.Memory
  readonly plan: MemoryPlan
}

/** What one worker's loop is made of. */
export interface LoopTask {
  readonly role: WorkerRole
  readonly plan: TunnelPlan
  readonly mode: DeviceMode
  /** Whether frames are passed on between peers. */
  readonly relay: boolean
  readonly tapFd: number
  readonly udpFd: number
  readonly tapBellFd: number
  readonly udpBellFd: number
  readonly sockaddrBytes: number
  /** Undefined where the tunnel is not private. */
  readonly keys?: HandshakeKeys | undefined
}

/** What who knows this end's public key knows: 32 bytes each. */
export interface HandshakeKeys {
  /** Of mac1 in messages to this end. */
  readonly mac1: Uint8Array
  /** Of cookie replies from this end. */
  readonly cookie: Uint8Array
}

/** Posted to main: once, right before the loop begins; and when there is something in the control queue. */
export type WorkerMessage = { readonly ready: WorkerRole } | { readonly control: true }
