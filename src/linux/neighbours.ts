import {
  NDA_DST,
  NDA_LLADDR,
  NLM_F_DUMP,
  NUD_DELAY,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
  RTM_GETNEIGH,
} from './constants.js'
import { decodeAttributes, type Netlink } from './netlink.js'
import { ndmsg } from './structs.js'

/** States in which the kernel sends to a neighbour at once, without a question first. */
const RESOLVED = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT

/** A neighbour whose link-layer address the kernel knows (ARP, RFC 826; NDP, RFC 4861). */
export interface Neighbour {
  /** Index of the interface. */
  readonly interface: number
  /** 4 or 16 bytes, in network order. */
  readonly address: Buffer
  /** Six bytes on an Ethernet. */
  readonly mac: Buffer
}

/** All neighbours that are resolved, of IPv4 and IPv6. @throws KernelError */
export function resolvedNeighbours(netlink: Netlink): Neighbour[] {
  const all = Buffer.alloc(ndmsg.size)
  return netlink.request('RTM_GETNEIGH', RTM_GETNEIGH, NLM_F_DUMP, all, []).flatMap(({ body }) => {
    if ((body.readUInt16LE(ndmsg.ndm_state) & RESOLVED) === 0) return []
    const attributes = decodeAttributes(body.subarray(ndmsg.size))
    const address = attributes.get(NDA_DST)
    const mac = attributes.get(NDA_LLADDR)
    const index = body.readInt32LE(ndmsg.ndm_ifindex)
    return address === undefined || mac === undefined ? [] : [{ interface: index, address, mac }]
  })
}
