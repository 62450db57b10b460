import { writeFileSync } from 'node:fs'
import ipaddr from 'ipaddr.js'
import type { Settings } from '../config/schema.js'
import { UserError } from '../errors.js'
import { EACCES, EBUSY, EINVAL, ENODEV, ENOENT, EPERM, KernelError } from '../linux/errno.js'
import { addAddress, getLink, listAddresses, setLink } from '../linux/interface.js'
import { close } from '../linux/libc.js'
import type { Netlink } from '../linux/netlink.js'
import { openTap, type TapDevice } from '../linux/tap.js'
import type { MacAddress } from '../wire/ethernet.js'
import { stableMac } from './mac.js'

export interface Device extends TapDevice {
  readonly index: number
  /** Undefined in tun mode. */
  readonly mac: MacAddress | undefined
}

/**
 * Creates the device, sets its MAC address, MTU and overlay addresses, and brings it up. The device disappears
 * when its fd is closed.
 * @throws UserError; nothing is left behind then
 */
export function openDevice(netlink: Netlink, settings: Settings, mtuBytes: number): Device {
  const { mode, local } = settings
  const wanted = settings.dev ?? `${mode}0`
  for (const { address } of local) refuseTaken(netlink, address)
  const device = open(mode, wanted)
  try {
    const { index } = getLink(netlink, device.name)
    const mac = mode === 'tap' ? (settings.mac ?? stableMac(local)) : undefined
    setLink(netlink, index, { mtuBytes, ...(mac === undefined ? {} : { mac: Uint8Array.from(mac) }) })
    for (const { address, prefixLength } of local) addAddress(netlink, index, address, prefixLength)
    if (mode === 'tap') announceWhenUp(device.name)
    setLink(netlink, index, { up: true })
    return { ...device, index, mac }
  } catch (error) {
    close(device.fd)
    if (!(error instanceof KernelError)) throw error
    throw new UserError(
      `the kernel refused to set up ${wanted} (${error.message}); check its addresses and MTU of ${mtuBytes} bytes`,
    )
  }
}

/**
 * Makes the kernel announce its addresses to the neighbours when the device comes up. A host that has been
 * asking for them then need not wait for its next try. If /proc/sys is read-only (in a container), only this is
 * lost.
 */
function announceWhenUp(device: string): void {
  for (const knob of [`ipv4/conf/${device}/arp_notify`, `ipv6/conf/${device}/ndisc_notify`]) {
    try {
      writeFileSync(`/proc/sys/net/${knob}`, '1')
    } catch {}
  }
}

function open(mode: Settings['mode'], name: string): TapDevice {
  try {
    return openTap(mode, name)
  } catch (error) {
    if (!(error instanceof KernelError)) throw error
    throw explain(error, mode, name)
  }
}

function explain({ syscall, errno, message }: KernelError, mode: string, name: string): UserError {
  if (errno === ENOENT || errno === ENODEV) {
    return new UserError(
      '/dev/net/tun is missing, so no device can be made; load the driver with: modprobe tun',
    )
  }
  if (errno === EPERM || errno === EACCES) {
    return new UserError(
      `making the device ${name} needs the capability CAP_NET_ADMIN; run as root, such as with sudo`,
    )
  }
  if (errno === EBUSY) {
    return new UserError(
      `the device ${name} is taken by another program; stop that or choose another name with --dev`,
    )
  }
  if (syscall === 'TUNSETIFF' && errno === EINVAL) {
    return new UserError(
      `there is a device ${name} already, and it is not a free ${mode} device; choose another name with --dev`,
    )
  }
  return new UserError(`the device ${name} cannot be made (${message})`)
}

/** If this host had an overlay address twice, the kernel would answer the tunnel's traffic itself. */
function refuseTaken(netlink: Netlink, address: string): void {
  const wanted = ipaddr.parse(address).toString()
  const taken = listAddresses(netlink).find((it) => it.address === wanted)
  if (taken === undefined) return
  const { name } = getLink(netlink, taken.index)
  throw new UserError(
    `the overlay address ${address} is taken: ${name} of this host has it; choose another or remove it there`,
  )
}
