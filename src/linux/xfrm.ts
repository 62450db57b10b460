import { IPPROTO_UDP } from '../wire/udp.js'
import {
  AF_INET,
  AF_INET6,
  NETLINK_XFRM,
  NLM_F_DUMP,
  XFRM_MSG_GETPOLICY,
  XFRM_MSG_NEWPOLICY,
  XFRM_POLICY_FWD,
  XFRM_POLICY_OUT,
  XFRMA_IF_ID,
} from './constants.js'
import { EPROTONOSUPPORT, KernelError } from './errno.js'
import { decodeAttributes, Netlink, type NetlinkReply } from './netlink.js'
import { xfrm_selector, xfrm_userpolicy_id, xfrm_userpolicy_info } from './structs.js'
import { answersTo, type UdpFlow } from './udp-flow.js'

/** What an IPsec policy of this host is for (`struct xfrm_userpolicy_info`, <linux/xfrm.h>). */
export interface XfrmPolicy {
  /** Of `enum`: `XFRM_POLICY_IN`, `XFRM_POLICY_OUT`, `XFRM_POLICY_FWD`. */
  readonly direction: number
  readonly family: number
  /** Addresses with 16 bytes, of which IPv4 uses the first four, and the bits of them that count. */
  readonly source: Uint8Array
  readonly sourceBits: number
  readonly destination: Uint8Array
  readonly destinationBits: number
  /** Ports, and the bits of them that count. */
  readonly sourcePort: number
  readonly sourcePortMask: number
  readonly destinationPort: number
  readonly destinationPortMask: number
  /** 0: any. */
  readonly protocol: number
  readonly ifindex: number
}

/**
 * The IPsec policies of this network namespace (`ip xfrm policy`). Frames that a BPF program sends pass by all of them,
 * and so do datagrams that it takes.
 */
export class XfrmPolicies {
  readonly #netlink: Netlink | undefined

  /** @throws KernelError */
  constructor() {
    this.#netlink = openXfrm()
  }

  /**
   * All of them that may be for datagrams of an ordinary interface. One that this program cannot read is undefined.
   * @throws KernelError
   */
  read(): readonly (XfrmPolicy | undefined)[] {
    if (this.#netlink === undefined) return []
    const all = Buffer.alloc(xfrm_userpolicy_id.size)
    const replies = this.#netlink.request('XFRM_MSG_GETPOLICY', XFRM_MSG_GETPOLICY, NLM_F_DUMP, all, [])
    return replies.filter((reply) => !isElsewhere(reply)).map(readPolicy)
  }

  close(): void {
    this.#netlink?.close()
  }
}

/** Whether a policy is for one socket of another program only, or for an interface of kind xfrm (if_id). */
function isElsewhere({ body }: NetlinkReply): boolean {
  if (body.length < xfrm_userpolicy_info.size) return false
  if (body.readUInt8(xfrm_userpolicy_info.dir) > XFRM_POLICY_FWD) return true
  const id = decodeAttributes(body.subarray(xfrm_userpolicy_info.size)).get(XFRMA_IF_ID)
  return id?.length === 4 && id.readUInt32LE() !== 0
}

/** @returns undefined if it is not what this program knows */
export function readPolicy({ type, body }: NetlinkReply): XfrmPolicy | undefined {
  if (type !== XFRM_MSG_NEWPOLICY || body.length < xfrm_userpolicy_info.size) return undefined
  const selector = body.subarray(xfrm_userpolicy_info.sel, xfrm_userpolicy_info.sel + xfrm_selector.size)
  const family = selector.readUInt16LE(xfrm_selector.family)
  const [sourceBits, destinationBits] = [
    selector[xfrm_selector.prefixlen_s],
    selector[xfrm_selector.prefixlen_d],
  ]
  const most = family === AF_INET ? 32 : family === AF_INET6 ? 128 : -1
  if (sourceBits > most || destinationBits > most) return undefined
  return {
    direction: body.readUInt8(xfrm_userpolicy_info.dir),
    family,
    source: selector.subarray(xfrm_selector.saddr, xfrm_selector.saddr + 16),
    sourceBits,
    destination: selector.subarray(xfrm_selector.daddr, xfrm_selector.daddr + 16),
    destinationBits,
    sourcePort: selector.readUInt16BE(xfrm_selector.sport),
    sourcePortMask: selector.readUInt16BE(xfrm_selector.sport_mask),
    destinationPort: selector.readUInt16BE(xfrm_selector.dport),
    destinationPortMask: selector.readUInt16BE(xfrm_selector.dport_mask),
    protocol: selector.readUInt8(xfrm_selector.proto),
    ifindex: selector.readInt32LE(xfrm_selector.ifindex),
  }
}

/**
 * Whether a policy is for what this host sends in a flow by an interface, or for the answers that come. It follows
 * `xfrm_selector_match` (net/xfrm/xfrm_policy.c).
 */
export function isFor(policy: XfrmPolicy, flow: UdpFlow, ifindex: number): boolean {
  const { source, destination, sourcePort, destinationPort } =
    policy.direction === XFRM_POLICY_OUT ? flow : answersTo(flow)
  return (
    policy.family === (source.length === 16 ? AF_INET6 : AF_INET) &&
    (policy.protocol === 0 || policy.protocol === IPPROTO_UDP) &&
    (policy.ifindex === 0 || policy.ifindex === ifindex) &&
    ((policy.sourcePort ^ sourcePort) & policy.sourcePortMask) === 0 &&
    ((policy.destinationPort ^ destinationPort) & policy.destinationPortMask) === 0 &&
    startsAlike(policy.source, source, policy.sourceBits) &&
    startsAlike(policy.destination, destination, policy.destinationBits)
  )
}

/** Whether the first `bits` bits of both are the same. */
function startsAlike(one: Uint8Array, other: Uint8Array, bits: number): boolean {
  const whole = bits >>> 3
  for (let at = 0; at < whole; at++) if (one[at] !== other[at]) return false
  return (bits & 7) === 0 || (one[whole] ^ other[whole]) >>> (8 - (bits & 7)) === 0
}

/** Undefined if the kernel has no IPsec. */
function openXfrm(): Netlink | undefined {
  try {
    return new Netlink(NETLINK_XFRM)
  } catch (error) {
    if (error instanceof KernelError && error.errno === EPROTONOSUPPORT) return undefined
    throw error
  }
}
