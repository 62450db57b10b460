import { NLM_F_DUMP, RTM_GETQDISC, TC_H_ROOT, TCA_KIND, TCA_STATS_QUEUE, TCA_STATS2 } from './constants.js'
import { EOPNOTSUPP, KernelError } from './errno.js'
import { decodeAttributes, type Netlink } from './netlink.js'
import { gnet_stats_queue, tcmsg } from './structs.js'

/** The queueing discipline (qdisc) at the root of an interface, as the kernel reports it (tc(8)). */
export interface Qdisc {
  /** Kind and handle. They differ after the qdisc is replaced. */
  readonly identity: string
  /**
   * Packets that it has dropped since it was made; a super-packet that is not yet cut counts as one. 32 bits.
   */
  readonly drops: number
}

/**
 * The root queueing disciplines of all interfaces, by interface index. We list all of them, because a request
 * for one would notify every rtnetlink listener of a change (net/sched/sch_api.c, qdisc_notify).
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
    // A kernel without traffic control does not support this request.
    if (error instanceof KernelError && error.errno === EOPNOTSUPP) return []
    throw error
  }
}
