import ipaddr from 'ipaddr.js'
import {
  AF_INET,
  AF_INET6,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_UNSPEC,
  RTA_DST,
  RTA_OIF,
  RTA_TABLE,
  RTM_DELROUTE,
  RTM_GETROUTE,
  RTM_NEWROUTE,
  RTN_UNICAST,
  RTPROT_BOOT,
} from './constants.js'
import { EAFNOSUPPORT, ENOENT, KernelError } from './errno.js'
import { type Attribute, decodeAttributes, type Netlink, u32 } from './netlink.js'
import { rtmsg } from './structs.js'

/** A route to a network that is reached directly by an interface (`ip route add … dev …`). */
export interface DeviceRoute {
  /** The network, in its shortest form. */
  readonly address: string
  readonly prefixLength: number
  /** The index of the interface. */
  readonly index: number
  /** The number of the table (`RTA_TABLE`, 32 bits). */
  readonly table: number
}

function messageOf(family: number, prefixLength: number): Buffer {
  const message = Buffer.alloc(rtmsg.size)
  message.writeUInt8(family, rtmsg.rtm_family)
  message.writeUInt8(prefixLength, rtmsg.rtm_dst_len)
  // The table is an attribute, because it may be larger than the field.
  message.writeUInt8(RT_TABLE_UNSPEC, rtmsg.rtm_table)
  return message
}

/** As ip-route(8) writes it. */
function requestOf({ address, prefixLength, index, table }: DeviceRoute): [Buffer, Attribute[]] {
  const bytes = Buffer.from(ipaddr.parse(address).toByteArray())
  const family = bytes.length === 4 ? AF_INET : AF_INET6
  const message = messageOf(family, prefixLength)
  message.writeUInt8(RTPROT_BOOT, rtmsg.rtm_protocol)
  message.writeUInt8(family === AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE, rtmsg.rtm_scope)
  message.writeUInt8(RTN_UNICAST, rtmsg.rtm_type)
  const destination: Attribute[] = prefixLength === 0 ? [] : [[RTA_DST, bytes]]
  return [message, [...destination, [RTA_OIF, u32(index)], [RTA_TABLE, u32(table)]]]
}

/** @throws KernelError (EEXIST if the table has a route to that network) */
export function addDeviceRoute(netlink: Netlink, route: DeviceRoute): void {
  netlink.request('RTM_NEWROUTE', RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, ...requestOf(route))
}

/** @throws KernelError (ESRCH if there is no such route) */
export function removeDeviceRoute(netlink: Netlink, route: DeviceRoute): void {
  netlink.request('RTM_DELROUTE', RTM_DELROUTE, 0, ...requestOf(route))
}

/** Which routes are listed. */
export interface RouteFilter {
  readonly family: 'ipv4' | 'ipv6'
  readonly table: number
  /** The index of the interface; undefined for all. */
  readonly index?: number
}

/**
 * The networks to which a table has unicast routes. @param netlink a strict one, or the kernel lists all tables
 * @throws KernelError
 */
export function listRoutes(
  netlink: Netlink,
  filter: RouteFilter,
): { readonly address: string; readonly prefixLength: number }[] {
  const any = filter.family === 'ipv4' ? '0.0.0.0' : '::'
  return routesOf(netlink, filter).flatMap(({ body, attributes }) => {
    if (body.readUInt8(rtmsg.rtm_type) !== RTN_UNICAST) return []
    const bytes = attributes.get(RTA_DST)
    const address = bytes === undefined ? any : ipaddr.fromByteArray([...bytes]).toString()
    return [{ address, prefixLength: body.readUInt8(rtmsg.rtm_dst_len) }]
  })
}

/**
 * Whether a table has a route of any type: one that drops what it matches (`blackhole`, `prohibit`, `unreachable`) is also
 * in the way. @param netlink a strict one @throws KernelError
 */
export function hasRoutes(netlink: Netlink, filter: RouteFilter): boolean {
  return routesOf(netlink, filter).length > 0
}

/** The routes of all types. */
function routesOf(netlink: Netlink, { family, table, index }: RouteFilter) {
  const number = family === 'ipv4' ? AF_INET : AF_INET6
  const filter: Attribute[] = [
    [RTA_TABLE, u32(table)],
    ...(index === undefined ? [] : ([[RTA_OIF, u32(index)]] as const)),
  ]
  return dump(netlink, messageOf(number, 0), filter).flatMap(({ body }) => {
    const attributes = decodeAttributes(body.subarray(rtmsg.size))
    // Kernels before 4.20 do not know the filter.
    const other =
      body.readUInt8(rtmsg.rtm_family) !== number ||
      attributes.get(RTA_TABLE)?.readUInt32LE() !== table ||
      (index !== undefined && attributes.get(RTA_OIF)?.readUInt32LE() !== index)
    return other ? [] : [{ body, attributes }]
  })
}

function dump(netlink: Netlink, message: Buffer, filter: readonly Attribute[]) {
  try {
    return netlink.request('RTM_GETROUTE', RTM_GETROUTE, NLM_F_DUMP, message, filter)
  } catch (error) {
    // There is no such table, or no IPv6.
    const none = error instanceof KernelError && (error.errno === ENOENT || error.errno === EAFNOSUPPORT)
    if (none) return []
    throw error
  }
}
