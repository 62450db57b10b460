import ipaddr from 'ipaddr.js'
import {
  IFLA_GENEVE_REMOTE,
  IFLA_GENEVE_REMOTE6,
  IFLA_GRE_REMOTE,
  IFLA_INFO_DATA,
  IFLA_IPTUN_REMOTE,
  IFLA_VTI_REMOTE,
  IFLA_VXLAN_GROUP,
  IFLA_VXLAN_GROUP6,
} from './constants.js'
import { linkKind } from './link-kind.js'
import { decodeAttributes } from './netlink.js'

/** Kinds of the kernel's tunnels, and the attributes that may hold the address of the far end. */
const REMOTES: Readonly<Record<string, readonly number[]>> = {
  vxlan: [IFLA_VXLAN_GROUP, IFLA_VXLAN_GROUP6],
  geneve: [IFLA_GENEVE_REMOTE, IFLA_GENEVE_REMOTE6],
  gre: [IFLA_GRE_REMOTE],
  gretap: [IFLA_GRE_REMOTE],
  erspan: [IFLA_GRE_REMOTE],
  ip6gre: [IFLA_GRE_REMOTE],
  ip6gretap: [IFLA_GRE_REMOTE],
  ipip: [IFLA_IPTUN_REMOTE],
  sit: [IFLA_IPTUN_REMOTE],
  ip6tnl: [IFLA_IPTUN_REMOTE],
  vti: [IFLA_VTI_REMOTE],
  vti6: [IFLA_VTI_REMOTE],
}

/** Kinds that look up the way of their own packets with the mark of what is inside (udp_tunnel_dst_lookup). */
const MARKED: ReadonlySet<string> = new Set(['vxlan', 'geneve'])

/** Whether a tunnel's own packets have the mark of what is inside. @param info the content of `IFLA_LINKINFO` */
export function keepsMark(info: Buffer): boolean {
  return MARKED.has(linkKind(info))
}

/**
 * The address to which one of the kernel's tunnels sends everything; undefined if it has none, or is no tunnel.
 * @param info the content of `IFLA_LINKINFO`
 */
export function tunnelRemote(info: Buffer): string | undefined {
  const kind = linkKind(info)
  const data = decodeAttributes(info).get(IFLA_INFO_DATA)
  if (data === undefined || !Object.hasOwn(REMOTES, kind)) return undefined
  const values = decodeAttributes(data)
  const bytes = REMOTES[kind].map((type) => values.get(type)).find((it) => it?.some((byte) => byte !== 0))
  if (bytes === undefined || (bytes.length !== 4 && bytes.length !== 16)) return undefined
  return ipaddr.fromByteArray([...bytes]).toString()
}
