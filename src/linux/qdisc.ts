import { NLM_F_DUMP, RTM_GETQDISC, TC_H_ROOT, TCA_KIND, TCA_STATS_QUEUE, TCA_STATS2 } from './constants.js'
import { EOPNOTSUPP, KernelError } from './errno.js'
import { decodeAttributes, type Netlink } from './netlink.js'
import { gnet_stats_queue, tcmsg } from './structs.js'

/** What the kernel says of the queueing discipline that an interface sends by, the one at its root (tc(8)). */
export interface Qdisc {
  /** Its kind and handle: another one has others. */
  readonly identity: string
  /** Packets, or super-packets that were not cut yet, that it has dropped since it was made; 32 bits. */
  readonly drops: number
}

/**
 * The queueing disciplines of all interfaces, by their indexes. To ask for one would tell all who listen to
 * rtnetlink that it has changed (net/sched/sch_api.c, qdisc_notify).
 */
export function rootQdiscs(netlink: Netlink): Map<number, Qdisc> {
  const qdiscs = new Map<number, Qdisc>()
  for (const body of dump(netlink)) {
    if (body.readUInt32LE(tcmsg.tcm_parent) !== TC_H_ROOT) continue
    const attributes = decodeAttributes(body.subarray(tcmsg.size))
    const statistics = attributes.get(TCA_STATS2)
    const queue = statistics && decodeAttributes(statistics).get(TCA_STATS_QUEUE)
    if (queue === undefined) continue
    const kind = attributes.get(TCA_KIND)?.toString('latin1').replace(/\0.*$/s, '')
    qdiscs.set(body.readInt32LE(tcmsg.tcm_ifindex), {
      identity: `${kind} ${body.readUInt32LE(tcmsg.tcm_handle)}`,
      drops: queue.readUInt32LE(gnet_stats_queue.drops),
    })
  }
  return qdiscs
}

function dump(netlink: Netlink): Buffer[] {
  try {
    const all = Buffer.alloc(tcmsg.size)
    return netlink.request('RTM_GETQDISC', RTM_GETQDISC, NLM_F_DUMP, all, []).map(({ body }) => body)
  } catch (error) {
    // A kernel without traffic control does not know the question.
    if (error instanceof KernelError && error.errno === EOPNOTSUPP) return []
    throw error
  }
}
