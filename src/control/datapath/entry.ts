import type { RosterPeer } from '../peer/roster.js'
import type { KernelWay } from './kernel-path.js'
import { Passage } from './passage.js'
import { Proof } from './proof.js'
import type { WorkerReason } from './reason.js'
import type { SocketWatch } from './socket-watch.js'

/** One peer, as the kernel's own datapath has it. */
export interface Entry {
  readonly peer: RosterPeer
  readonly proof: Proof
  readonly passage: Passage
  /** Only with VXLAN: nothing is asked of the peer, and nothing must be proved. */
  readonly watch: SocketWatch | undefined
  /** What is in the way on this host, in both directions. */
  hindrance: 'ipsec' | 'nat' | undefined
  /** Whether it has sent a control frame, so that it knows what they are. */
  talks: boolean
  /** Whether it has said that it can. */
  capable: boolean
  /** Whether it has said that something is in the way there. */
  notNow: boolean
  announcedMs: number
  /** Until then, the peer is asked not to send by the kernel, because its way has changed. */
  settledMs: number
  /** As the programs have it; undefined if they do not know this peer. */
  way: KernelWay | undefined
  /** Whether they take what comes from there. */
  takes: boolean
  /** Why the workers carry it; undefined if the kernel does. */
  reason: WorkerReason | undefined
}

/** Of a peer of which nothing is known yet. @param watch only with VXLAN */
export function newEntry(peer: RosterPeer, watch: SocketWatch | undefined): Entry {
  return {
    peer,
    proof: new Proof(),
    passage: new Passage(),
    watch,
    hindrance: undefined,
    talks: false,
    capable: watch !== undefined,
    notNow: false,
    announcedMs: Number.NEGATIVE_INFINITY,
    settledMs: Number.NEGATIVE_INFINITY,
    way: undefined,
    takes: false,
    reason: watch === undefined ? 'peer' : 'no_way',
  }
}
