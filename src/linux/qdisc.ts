import {
  NLM_F_DUMP,
  RTM_GETQDISC,
  RTM_GETTFILTER,
  TC_H_CLSACT,
  TC_H_MIN_EGRESS,
  TC_H_ROOT,
  TCA_KIND,
  TCA_STATS_QUEUE,
  TCA_STATS2,
} from './constants.js'
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
    const kind = kindOf(attributes)
    qdiscs.set(body.readInt32LE(tcmsg.tcm_ifindex), {
      identity: `${kind} ${body.readUInt32LE(tcmsg.tcm_handle)}`,
      drops: queue.readUInt32LE(gnet_stats_queue.drops),
    })
  }
  return qdiscs
}

/**
 * Whether somebody has put a qdisc at the root of an interface, or filters for what goes out by it (`clsact`). What a
 * BPF program takes there before passes by both. @throws KernelError
 */
export function isShaped(netlink: Netlink, ifindex: number): boolean {
  return dump(netlink).some((body) => {
    if (body.readInt32LE(tcmsg.tcm_ifindex) !== ifindex) return false
    const parent = body.readUInt32LE(tcmsg.tcm_parent)
    // What a person adds has a handle, and what the kernel adds by itself has none.
    if (parent === TC_H_ROOT) return body.readUInt32LE(tcmsg.tcm_handle) !== 0
    // A qdisc `ingress` is at the same place, and would show its filters as if they were for both directions.
    const isClsact =
      parent === TC_H_CLSACT && kindOf(decodeAttributes(body.subarray(tcmsg.size))) === 'clsact'
    return isClsact && hasEgressFilters(netlink, ifindex)
  })
}

function hasEgressFilters(netlink: Netlink, ifindex: number): boolean {
  const which = Buffer.alloc(tcmsg.size)
  which.writeInt32LE(ifindex, tcmsg.tcm_ifindex)
  which.writeUInt32LE(((TC_H_CLSACT & 0xffff_0000) | TC_H_MIN_EGRESS) >>> 0, tcmsg.tcm_parent)
  return netlink.request('RTM_GETTFILTER', RTM_GETTFILTER, NLM_F_DUMP, which, []).length > 0
}

function kindOf(attributes: ReadonlyMap<number, Buffer>): string | undefined {
  return attributes.get(TCA_KIND)?.toString('latin1').replace(/\0.*$/s, '')
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
