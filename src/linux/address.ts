import ipaddr from 'ipaddr.js'
import {
  AF_INET,
  AF_INET6,
  IFA_ADDRESS,
  IFA_F_NODAD,
  IFA_FLAGS,
  IFA_LOCAL,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  RT_SCOPE_UNIVERSE,
  RTM_DELADDR,
  RTM_GETADDR,
  RTM_NEWADDR,
} from './constants.js'
import { type Attribute, decodeAttributes, type Netlink, u32 } from './netlink.js'
import { ifaddrmsg } from './structs.js'

/**
 * Gives an interface an address. An IPv6 address is ready at once, because duplicate address detection is off
 * (`IFA_F_NODAD`).
 * @throws KernelError (EEXIST if the interface already has it)
 */
export function addAddress(netlink: Netlink, index: number, address: string, prefixLength: number): void {
  const bytes = bytesOf(address)
  const message = addressMessage(index, bytes, prefixLength)
  const flags: Attribute[] = bytes.length === 16 ? [[IFA_FLAGS, u32(IFA_F_NODAD)]] : []
  const attributes = [...addressAttributes(bytes), ...flags]
  netlink.request('RTM_NEWADDR', RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, message, attributes)
}

/** Takes an address from an interface. @throws KernelError (EADDRNOTAVAIL if the interface does not have it) */
export function removeAddress(netlink: Netlink, index: number, address: string, prefixLength: number): void {
  const bytes = bytesOf(address)
  const message = addressMessage(index, bytes, prefixLength)
  netlink.request('RTM_DELADDR', RTM_DELADDR, 0, message, addressAttributes(bytes))
}

/** An address of an interface of this host. */
export interface InterfaceAddress {
  /** The index of the interface. */
  readonly index: number
  /** In its shortest form. */
  readonly address: string
  readonly prefixLength: number
  /** `IFA_F_…` (rtnetlink(7)). */
  readonly flags: number
  /** `RT_SCOPE_…` (rtnetlink(7)). */
  readonly scope: number
}

/** Every address of this host, also those of interfaces that are down. */
export function listAddresses(netlink: Netlink): InterfaceAddress[] {
  const all = Buffer.alloc(ifaddrmsg.size)
  return netlink.request('RTM_GETADDR', RTM_GETADDR, NLM_F_DUMP, all, []).flatMap(({ body }) => {
    const attributes = decodeAttributes(body.subarray(ifaddrmsg.size))
    const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS)
    const index = body.readUInt32LE(ifaddrmsg.ifa_index)
    if (bytes === undefined) return []
    const flags = attributes.get(IFA_FLAGS)?.readUInt32LE() ?? body.readUInt8(ifaddrmsg.ifa_flags)
    const scope = body.readUInt8(ifaddrmsg.ifa_scope)
    const prefixLength = body.readUInt8(ifaddrmsg.ifa_prefixlen)
    return [{ index, address: ipaddr.fromByteArray([...bytes]).toString(), prefixLength, flags, scope }]
  })
}

function bytesOf(address: string): Buffer {
  return Buffer.from(ipaddr.parse(address).toByteArray())
}

function addressMessage(index: number, bytes: Uint8Array, prefixLength: number): Buffer {
  const message = Buffer.alloc(ifaddrmsg.size)
  message.writeUInt8(bytes.length === 4 ? AF_INET : AF_INET6, ifaddrmsg.ifa_family)
  message.writeUInt8(prefixLength, ifaddrmsg.ifa_prefixlen)
  message.writeUInt8(RT_SCOPE_UNIVERSE, ifaddrmsg.ifa_scope)
  message.writeUInt32LE(index, ifaddrmsg.ifa_index)
  return message
}

function addressAttributes(bytes: Uint8Array): Attribute[] {
  return [
    [IFA_LOCAL, bytes],
    [IFA_ADDRESS, bytes],
  ]
}
