import { existsSync } from 'node:fs'
import { IPPROTO_UDP } from '../wire/udp.js'
import {
  AF_INET,
  AF_INET6,
  CTA_IP_V4_DST,
  CTA_IP_V4_SRC,
  CTA_IP_V6_DST,
  CTA_IP_V6_SRC,
  CTA_PROTO_DST_PORT,
  CTA_PROTO_NUM,
  CTA_PROTO_SRC_PORT,
  CTA_STATUS,
  CTA_TUPLE_IP,
  CTA_TUPLE_ORIG,
  CTA_TUPLE_PROTO,
  IPCTNL_MSG_CT_GET,
  IPS_NAT_MASK,
  NETLINK_NETFILTER,
  NFNETLINK_V0,
  NFNL_SUBSYS_CTNETLINK,
  NLA_F_NESTED,
} from './constants.js'
import { EAFNOSUPPORT, EINVAL, ENOENT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, KernelError } from './errno.js'
import { type Attribute, be16, decodeAttributes, Netlink } from './netlink.js'
import { nfgenmsg } from './structs.js'
import { answersTo, type UdpFlow } from './udp-flow.js'

/** It is there in a network namespace if the kernel has connection tracking. */
const TRACKED = '/proc/sys/net/netfilter/nf_conntrack_count'

/** The kernel has no part that answers, or does not answer this process. */
const NO_ANSWER: ReadonlySet<number> = new Set([EPERM, EINVAL, EPROTONOSUPPORT, EOPNOTSUPP, EAFNOSUPPORT])

/** What netfilter's connection tracking says of UDP (<linux/netfilter/nfnetlink_conntrack.h>). */
export class Conntrack {
  #netlink: Netlink | undefined
  #refused = false

  /**
   * Whether netfilter changes addresses or ports of a flow or of its answers (NAT). It says so only of what it has seen
   * lately, and that takes no NAT rule into account that came later: netfilter itself does not, either.
   * @throws KernelError
   */
  isTranslated(flow: UdpFlow): boolean {
    // The question itself would load connection tracking, which slows down a host that does without.
    if (this.#refused || !existsSync(TRACKED)) return false
    return this.#isNat(flow) || this.#isNat(answersTo(flow))
  }

  close(): void {
    this.#netlink?.close()
    this.#netlink = undefined
  }

  #isNat(flow: UdpFlow): boolean {
    try {
      this.#netlink ??= new Netlink(NETLINK_NETFILTER)
      const [fixed, attributes] = conntrackOf(flow)
      return this.#netlink.request('IPCTNL_MSG_CT_GET', GET, 0, fixed, attributes).some(isNat)
    } catch (error) {
      if (!(error instanceof KernelError)) throw error
      if (error.errno === ENOENT) return false
      if (!NO_ANSWER.has(error.errno)) throw error
      // Each further question would have the kernel look for a module again.
      this.#refused = true
      return false
    }
  }
}

const GET = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET

/** The body of a message about the connection that a flow belongs to: its fixed part, and its attributes. */
export function conntrackOf(flow: UdpFlow): readonly [Buffer, readonly Attribute[]] {
  const ipv6 = flow.source.length === 16
  const fixed = Buffer.alloc(nfgenmsg.size)
  fixed.writeUInt8(ipv6 ? AF_INET6 : AF_INET, nfgenmsg.nfgen_family)
  fixed.writeUInt8(NFNETLINK_V0, nfgenmsg.version)
  const ip: readonly Attribute[] = [
    [ipv6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, flow.source],
    [ipv6 ? CTA_IP_V6_DST : CTA_IP_V4_DST, flow.destination],
  ]
  const protocol: readonly Attribute[] = [
    [CTA_PROTO_NUM, Uint8Array.of(IPPROTO_UDP)],
    [CTA_PROTO_SRC_PORT, be16(flow.sourcePort)],
    [CTA_PROTO_DST_PORT, be16(flow.destinationPort)],
  ]
  const tuple: readonly Attribute[] = [
    [CTA_TUPLE_IP | NLA_F_NESTED, ip],
    [CTA_TUPLE_PROTO | NLA_F_NESTED, protocol],
  ]
  return [fixed, [[CTA_TUPLE_ORIG | NLA_F_NESTED, tuple]]]
}

/** Whether a message of the kernel is about a connection with NAT. */
export function isNat({ body }: { readonly body: Buffer }): boolean {
  const status = decodeAttributes(body.subarray(nfgenmsg.size)).get(CTA_STATUS)
  return status !== undefined && status.length === 4 && (status.readUInt32BE() & IPS_NAT_MASK) !== 0
}
