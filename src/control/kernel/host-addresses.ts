import ipaddr from 'ipaddr.js'
import { type InterfaceAddress, listAddresses } from '../../linux/address.js'
import {
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_OPTIMISTIC,
  IFA_F_SECONDARY,
  IFA_F_TENTATIVE,
  RT_SCOPE_UNIVERSE,
} from '../../linux/constants.js'
import { ENODEV, KernelError } from '../../linux/errno.js'
import { getLink, linkIfThere } from '../../linux/interface.js'
import type { Netlink } from '../../linux/netlink.js'
import type { HostAddress } from '../network.js'

/** The addresses of an interface, in the kernel's order; undefined if there is none of that name. @throws KernelError */
export function addressesOf(netlink: Netlink, name: string): readonly HostAddress[] | undefined {
  let own: number
  try {
    own = getLink(netlink, name).index
  } catch (error) {
    if (error instanceof KernelError && error.errno === ENODEV) return undefined
    throw error
  }
  return listAddresses(netlink)
    .filter(({ index }) => index === own)
    .map(hostAddress)
}

/**
 * The addresses of all interfaces that are up, but for the tunnel's device and the bridge that it is a port of.
 * @param device the index of the device, if it is here
 * @throws KernelError
 */
export function ownAddresses(netlink: Netlink, device: number | undefined): readonly HostAddress[] {
  const bridge = device === undefined ? undefined : linkIfThere(netlink, device)?.masterIndex
  const all = listAddresses(netlink).filter(({ index }) => index !== device && index !== bridge)
  const up = new Set(
    [...new Set(all.map(({ index }) => index))].filter((index) => linkIfThere(netlink, index)?.up),
  )
  return all.filter(({ index }) => up.has(index)).map(hostAddress)
}

function hostAddress({ index, address, flags, scope }: InterfaceAddress): HostAddress {
  const has = (flag: number) => (flags & flag) !== 0
  const linkLocal = address.includes(':') && ipaddr.parse(address).range() === 'linkLocal'
  return {
    address: linkLocal ? `${address}%${index}` : address,
    ready: !has(IFA_F_DADFAILED) && (!has(IFA_F_TENTATIVE) || has(IFA_F_OPTIMISTIC)),
    global: scope === RT_SCOPE_UNIVERSE,
    deprecated: has(IFA_F_DEPRECATED),
    secondary: has(IFA_F_SECONDARY),
  }
}
