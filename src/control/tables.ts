import { AccessRules } from '../memory/access-rules.js'
import { C, COUNTERS, counterBlock } from '../memory/counters.js'
import { KeypairTable } from '../memory/keypair-table.js'
import { Mailbox } from '../memory/mailbox.js'
import { Offloads } from '../memory/offloads.js'
import { PathLimits } from '../memory/path-limits.js'
import { PEER_STRIDE, peerCounterBlock } from '../memory/peer-counters.js'
import { PeerTable } from '../memory/peer-table.js'
import { StateWord } from '../memory/plan.js'
import { Pulse } from '../memory/pulse.js'
import { RelayTable } from '../memory/relay-table.js'
import { Ring } from '../memory/ring.js'
import { StateWords } from '../memory/state-words.js'
import { Stranger } from '../memory/stranger.js'
import type { Platform } from './platform.js'

/** Main's own counters: one block, as the workers have them. */
export class OwnCounters {
  readonly block = new Float64Array(COUNTERS.length)

  count(name: keyof typeof C): void {
    this.block[C[name]]++
  }
}

/** Main's views of the shared memory. */
export function openTables({ memory, plan }: Pick<Platform, 'memory' | 'plan'>) {
  const { tap, udp, state, outbound, inbound } = plan
  const mailbox = (at: number, told: number) => new Mailbox(memory, at, state + told * 4)
  const ring = ({ at, dataBytes }: typeof outbound) => new Ring(memory, at, dataBytes)
  const ownPeerCounters = new Float64Array(plan.peerRows * PEER_STRIDE)
  const workerPeerCounters = [tap, udp].map((worker) =>
    peerCounterBlock(memory, worker.peerCounters, plan.peerRows),
  )
  return {
    words: new StateWords(memory, state),
    pulse: new Pulse(memory, state),
    peers: new PeerTable(memory, plan.peers, plan.peerRows),
    stranger: new Stranger(memory, plan.stranger),
    keypairs: new KeypairTable(memory, plan.keypairs, plan.keypairRows, plan.peerRows),
    access: new AccessRules(memory, plan.accessRules),
    limits: new PathLimits(memory, plan.pathLimits),
    relays: new RelayTable(memory, plan.relays, plan.peerRows),
    offloads: new Offloads(memory, plan.offloads),
    control: mailbox(plan.control, StateWord.controlTold),
    handshakes: mailbox(plan.handshakes, StateWord.handshakesTold),
    rings: { outbound: ring(outbound), inbound: ring(inbound) },
    counters: {
      tap: counterBlock(memory, tap.counters),
      udp: counterBlock(memory, udp.counters),
      own: new OwnCounters(),
    },
    /** Main's own block of peer counters: what the kernel has carried by itself. */
    ownPeerCounters,
    /** All blocks of peer counters: the workers' and main's. */
    peerCounters: [...workerPeerCounters, ownPeerCounters],
    workerPeerCounters,
  }
}

export type Tables = ReturnType<typeof openTables>
