import ipaddr from 'ipaddr.js'
import { IPPROTO_UDP } from '../wire/udp.js'
import {
  AF_INET,
  AF_INET6,
  IFF_UP,
  IFLA_ADDRESS,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_LINK,
  IFLA_LINK_NETNSID,
  IFLA_LINKINFO,
  IFLA_MASTER,
  IFLA_MTU,
  IFLA_NET_NS_FD,
  IFLA_STATS64,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  RT_TABLE_MAIN,
  RTA_DPORT,
  RTA_DST,
  RTA_GATEWAY,
  RTA_IP_PROTO,
  RTA_MARK,
  RTA_OIF,
  RTA_PREFSRC,
  RTA_SPORT,
  RTA_SRC,
  RTA_VIA,
  RTM_GETLINK,
  RTM_GETROUTE,
  RTM_NEWLINK,
  RTM_NEWROUTE,
  RTN_UNICAST,
  RTPROT_STATIC,
  VETH_INFO_PEER,
} from './constants.js'
import { EACCES, EHOSTUNREACH, EINVAL, ENETUNREACH, ENODEV, KernelError } from './errno.js'
import {
  type Attribute,
  be16,
  cString,
  decodeAttributes,
  encodeAttributes,
  type Netlink,
  u32,
} from './netlink.js'
import { ifinfomsg, rtmsg, rtnl_link_stats64 } from './structs.js'
import { keepsMark, tunnelRemote } from './tunnel-remote.js'

/** A network interface, as the kernel reports it. */
export interface Link {
  readonly index: number
  readonly name: string
  readonly mtuBytes: number
  readonly up: boolean
  /** Colon-separated; undefined if the interface has none (tun). */
  readonly mac: string | undefined
  /** The interface below this one (of a VLAN, for example), if it is in the same network namespace. */
  readonly lowerIndex: number | undefined
  /** The bridge (or the like) that this interface is a port of. */
  readonly masterIndex: number | undefined
  /** What only interfaces of its kind have (`IFLA_LINKINFO`): see tunnel-remote.ts and tap-info.ts. */
  readonly info: Buffer | undefined
  readonly statistics: LinkStatistics
}

/**
 * The kernel's own counters (`rtnl_link_stats64`), as the host sees them: what a program writes to a tap is rx.
 */
export interface LinkStatistics {
  readonly rxDropped: number
  readonly txDropped: number
  readonly rxErrors: number
  readonly txErrors: number
}

function linkMessage(index: number, flags = 0, change = 0): Buffer {
  const message = Buffer.alloc(ifinfomsg.size)
  message.writeInt32LE(index, ifinfomsg.ifi_index)
  message.writeUInt32LE(flags, ifinfomsg.ifi_flags)
  message.writeUInt32LE(change, ifinfomsg.ifi_change)
  return message
}

function parseLink(body: Buffer): Link {
  const attributes = decodeAttributes(body.subarray(ifinfomsg.size))
  const stats = attributes.get(IFLA_STATS64)
  const mac = attributes.get(IFLA_ADDRESS)
  const counter = (at: number) => (stats === undefined ? 0 : Number(stats.readBigUInt64LE(at)))
  return {
    index: body.readInt32LE(ifinfomsg.ifi_index),
    name: attributes.get(IFLA_IFNAME)?.toString('latin1').replace(/\0.*$/s, '') ?? '',
    mtuBytes: attributes.get(IFLA_MTU)?.readUInt32LE() ?? 0,
    up: (body.readUInt32LE(ifinfomsg.ifi_flags) & IFF_UP) !== 0,
    mac: mac?.length === 6 ? [...mac].map((byte) => byte.toString(16).padStart(2, '0')).join(':') : undefined,
    lowerIndex: attributes.has(IFLA_LINK_NETNSID) ? undefined : attributes.get(IFLA_LINK)?.readUInt32LE(),
    masterIndex: attributes.get(IFLA_MASTER)?.readUInt32LE(),
    info: attributes.get(IFLA_LINKINFO),
    statistics: {
      rxDropped: counter(rtnl_link_stats64.rx_dropped),
      txDropped: counter(rtnl_link_stats64.tx_dropped),
      rxErrors: counter(rtnl_link_stats64.rx_errors),
      txErrors: counter(rtnl_link_stats64.tx_errors),
    },
  }
}

/** The interface with this name or index. @throws KernelError (ENODEV) */
export function getLink(netlink: Netlink, which: string | number): Link {
  const byName = typeof which === 'string'
  const attributes: Attribute[] = byName ? [[IFLA_IFNAME, cString(which)]] : []
  const replies = netlink.request('RTM_GETLINK', RTM_GETLINK, 0, linkMessage(byName ? 0 : which), attributes)
  return parseLink(replies[0].body)
}

/** The same; undefined if there is none, or if it has just gone. @throws KernelError */
export function linkIfThere(netlink: Netlink, which: string | number): Link | undefined {
  try {
    return getLink(netlink, which)
  } catch (error) {
    if (error instanceof KernelError && error.errno === ENODEV) return undefined
    throw error
  }
}

/** The interfaces that are ports of the bridge (or the like) with this index. @throws KernelError */
export function listPorts(netlink: Netlink, masterIndex: number): Link[] {
  // Kernels before 4.6 do not know the filter, and report all interfaces.
  const filter: Attribute[] = [[IFLA_MASTER, u32(masterIndex)]]
  return netlink
    .request('RTM_GETLINK', RTM_GETLINK, NLM_F_DUMP, linkMessage(0), filter)
    .map(({ body }) => parseLink(body))
    .filter((link) => link.masterIndex === masterIndex)
}

export interface LinkChange {
  readonly mtuBytes?: number
  readonly up?: boolean
  /** Six bytes. */
  readonly mac?: Uint8Array
  /** Index of the bridge that the interface joins; 0 to leave it. */
  readonly master?: number
}

/** Changes only what is given. @throws KernelError */
export function setLink(netlink: Netlink, index: number, change: LinkChange): void {
  const attributes: Attribute[] = []
  if (change.mtuBytes !== undefined) attributes.push([IFLA_MTU, u32(change.mtuBytes)])
  if (change.mac !== undefined) attributes.push([IFLA_ADDRESS, change.mac])
  if (change.master !== undefined) attributes.push([IFLA_MASTER, u32(change.master)])
  const flags = change.up === true ? IFF_UP : 0
  const mask = change.up === undefined ? 0 : IFF_UP
  netlink.request('RTM_NEWLINK', RTM_NEWLINK, 0, linkMessage(index, flags, mask), attributes)
}

function routeMessage(address: Uint8Array, prefixLength: number): Buffer {
  const message = Buffer.alloc(rtmsg.size)
  message.writeUInt8(address.length === 4 ? AF_INET : AF_INET6, rtmsg.rtm_family)
  message.writeUInt8(prefixLength, rtmsg.rtm_dst_len)
  return message
}

/**
 * The kernel's answers if there is no route. Also if the route has the type unreachable, prohibit (EACCES) or
 * blackhole (EINVAL), or if its interface has just disappeared (ENODEV).
 */
const NO_ROUTE: ReadonlySet<number> = new Set([ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL, ENODEV])

/** How packets leave for an address. */
export interface Egress {
  readonly link: Link
  /** The next router; undefined if the address is on the link. */
  readonly gateway: string | undefined
  /** The kernel's type of the route: `RTN_UNICAST`, `RTN_LOCAL`, … (rtnetlink(7)). */
  readonly type: number
  /** The source address that the kernel chooses for them; undefined if it was given, or there is none. */
  readonly source: string | undefined
}

/** Ports of UDP datagrams. */
export interface UdpPorts {
  /** Undefined if they have several. */
  readonly source: number | undefined
  readonly destination: number
}

/** What may decide about the route of packets beside their destination (ip-rule(8)). */
export interface RoutedFlow {
  /** Their source address. If this host does not have it, there is no route for IPv4. */
  readonly from?: string | undefined
  /** 0 for none. */
  readonly mark?: number
  /** Only of UDP. */
  readonly ports?: UdpPorts | undefined
}

/** How packets to `address` leave; undefined while there is no route. */
export function egressTo(
  netlink: Netlink,
  address: string,
  { from, mark = 0, ports }: RoutedFlow = {},
): Egress | undefined {
  const [text, zone] = address.split('%') as [string, string?]
  const bytes = Buffer.from(ipaddr.parse(text).toByteArray())
  try {
    const zoneLink =
      zone === undefined ? undefined : getLink(netlink, /^\d+$/.test(zone) ? Number(zone) : zone)
    const message = routeMessage(bytes, bytes.length * 8)
    const [reply] = netlink.request('RTM_GETROUTE', RTM_GETROUTE, 0, message, [
      [RTA_DST, bytes],
      ...(zoneLink === undefined ? [] : ([[RTA_OIF, u32(zoneLink.index)]] as const)),
      ...(from === undefined ? [] : ([[RTA_SRC, Buffer.from(ipaddr.parse(from).toByteArray())]] as const)),
      ...(mark === 0 ? [] : ([[RTA_MARK, u32(mark)]] as const)),
      ...(ports === undefined ? [] : portAttributes(ports)),
    ])
    const attributes = decodeAttributes(reply.body.subarray(rtmsg.size))
    const type = reply.body.readUInt8(rtmsg.rtm_type)
    const preferred = attributes.get(RTA_PREFSRC)
    const source = preferred && ipaddr.fromByteArray([...preferred]).toString()
    if (zoneLink !== undefined) return { link: zoneLink, gateway: undefined, type, source }
    const oif = attributes.get(RTA_OIF)
    if (oif === undefined) return undefined
    const via = attributes.get(RTA_GATEWAY) ?? attributes.get(RTA_VIA)?.subarray(RTVIA_ADDRESS)
    const gateway = via === undefined ? undefined : ipaddr.fromByteArray([...via]).toString()
    return { link: getLink(netlink, oif.readUInt32LE()), gateway, type, source }
  } catch (error) {
    if (error instanceof KernelError && NO_ROUTE.has(error.errno)) return undefined
    throw error
  }
}

/** Since Linux 4.19. Older kernels ignore them. */
function portAttributes({ source, destination }: UdpPorts): Attribute[] {
  return [
    [RTA_IP_PROTO, Buffer.of(IPPROTO_UDP)],
    ...(source === undefined || source === 0 ? [] : [[RTA_SPORT, be16(source)] satisfies Attribute]),
    [RTA_DPORT, be16(destination)],
  ]
}

/** `struct rtvia` (<linux/rtnetlink.h>): a family in two bytes, then the address. */
const RTVIA_ADDRESS = 2

/** More layers of interfaces than any host has. */
const MAX_LAYERS = 8

/**
 * Whether packets that leave by `link` leave by the interface `index`: `link` is that interface, is on top of it,
 * or is a tunnel of the kernel's whose own packets leave by it.
 * @param mark of the packets (ip-rule(8)); 0 for none
 * @throws KernelError
 */
export function leavesBy(netlink: Netlink, link: Link, index: number, mark = 0): boolean {
  let layer = link
  for (let layers = 0; layers < MAX_LAYERS; layers++) {
    if (layer.index === index) return true
    try {
      const next = below(netlink, layer, mark)
      if (next === undefined) return false
      layer = next
    } catch (error) {
      // It has just gone: so nothing leaves by it.
      if (error instanceof KernelError && error.errno === ENODEV) return false
      throw error
    }
  }
  return false
}

/** The interface by which what leaves by `link` leaves next; undefined if there is none. @throws KernelError */
function below(netlink: Netlink, { index, lowerIndex, info }: Link, mark: number): Link | undefined {
  // An unbound tunnel reports 0, and some interfaces report themselves.
  if (lowerIndex && lowerIndex !== index) return getLink(netlink, lowerIndex)
  const remote = info === undefined ? undefined : tunnelRemote(info)
  if (info === undefined || remote === undefined) return undefined
  return egressTo(netlink, remote, { mark: keepsMark(info) ? mark : 0 })?.link
}

/** Adds a route through `gateway` to `destination/prefixLength`. @throws KernelError */
export function addRoute(netlink: Netlink, destination: string, prefixLength: number, gateway: string): void {
  const bytes = Buffer.from(ipaddr.parse(destination).toByteArray())
  const message = routeMessage(bytes, prefixLength)
  message.writeUInt8(RT_TABLE_MAIN, rtmsg.rtm_table)
  message.writeUInt8(RTPROT_STATIC, rtmsg.rtm_protocol)
  message.writeUInt8(RTN_UNICAST, rtmsg.rtm_type)
  netlink.request('RTM_NEWROUTE', RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, message, [
    [RTA_DST, bytes],
    [RTA_GATEWAY, Buffer.from(ipaddr.parse(gateway).toByteArray())],
  ])
}

/** One end of a veth pair: its name, and the namespace (an fd, see netns.ts) in which it is created. */
export interface VethEnd {
  readonly name: string
  readonly namespaceFd: number
}

/** Creates a veth pair, each end in its namespace. @throws KernelError */
export function createVeth(netlink: Netlink, near: VethEnd, far: VethEnd): void {
  const end = ({ name, namespaceFd }: VethEnd): Attribute[] => [
    [IFLA_IFNAME, cString(name)],
    [IFLA_NET_NS_FD, u32(namespaceFd)],
  ]
  const peer = Buffer.concat([linkMessage(0), encodeAttributes(end(far))])
  netlink.request('RTM_NEWLINK', RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, linkMessage(0), [
    ...end(near),
    [
      IFLA_LINKINFO,
      [
        [IFLA_INFO_KIND, cString('veth')],
        [IFLA_INFO_DATA, [[VETH_INFO_PEER, peer]]],
      ],
    ],
  ])
}

/** Creates a link of a kind that needs only a name: `bridge`, `dummy`. @throws KernelError */
export function createLink(netlink: Netlink, kind: string, name: string): void {
  netlink.request('RTM_NEWLINK', RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, linkMessage(0), [
    [IFLA_IFNAME, cString(name)],
    [IFLA_LINKINFO, [[IFLA_INFO_KIND, cString(kind)]]],
  ])
}
