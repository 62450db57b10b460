import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import ipaddr from 'ipaddr.js'
import type { Settings } from '../../config/schema.js'
import { UserError } from '../../errors.js'
import { listAddresses } from '../../linux/address.js'
import { CAP_NET_ADMIN } from '../../linux/constants.js'
import { EACCES, EBUSY, EINVAL, ENODEV, ENOENT, EOPNOTSUPP, EPERM, KernelError } from '../../linux/errno.js'
import { getLink, type Link, type LinkStatistics, linkIfThere, setLink } from '../../linux/interface.js'
import { close } from '../../linux/libc.js'
import type { Netlink } from '../../linux/netlink.js'
import { hasCapability } from '../../linux/process.js'
import { withPacketSteering } from '../../linux/rps.js'
import { openTap, setDeviceOffloads, type TapDevice } from '../../linux/tap.js'
import { tapInfo } from '../../linux/tap-info.js'
import { StateDirectory } from '../../state/state-directory.js'
import type { MacAddress } from '../../wire/ethernet.js'
import { forbiddenBy } from '../datapath/reason.js'
import type { Device, DeviceLink } from '../device.js'
import { deviceLink } from './device-link.js'
import { DeviceSetup } from './device-setup.js'
import { hostIdentity, namespaceIdentity } from './host-identity.js'
import { ownMac } from './mac.js'

/** <linux/if_link.h> */
const IN6_ADDR_GEN_MODE_NONE = '1'

interface SetUp {
  readonly index: number
  readonly mac: MacAddress | undefined
  readonly setup: DeviceSetup
}

/** The device, which this program has made or, if it is persistent, has taken. */
export class LinuxDevice implements Device {
  readonly fd: number
  readonly name: string
  readonly index: number
  readonly mac: MacAddress | undefined
  lost: Promise<Error> | undefined
  readonly #netlink: Netlink
  readonly #setup: DeviceSetup

  constructor(netlink: Netlink, { fd, name }: TapDevice, { index, mac, setup }: SetUp) {
    this.#netlink = netlink
    this.#setup = setup
    this.fd = fd
    this.name = name
    this.index = index
    this.mac = mac
  }

  setOffloads(wanted: boolean): { tso: boolean; uso: boolean } {
    return setDeviceOffloads(this.fd, wanted)
  }

  setMtu(bytes: number): void {
    setLink(this.#netlink, this.index, { mtuBytes: bytes })
  }

  restoreAddresses(): void {
    this.#setup.restoreAddresses()
  }

  link(): DeviceLink | undefined {
    return deviceLink(this.#netlink, this.index)
  }

  statistics(): LinkStatistics | undefined {
    return linkIfThere(this.#netlink, this.index)?.statistics
  }

  close(): void {
    this.setOffloads(false)
    this.#setup.undo()
    close(this.fd)
  }
}

/**
 * Creates the device or takes a persistent one, sets its MAC address, MTU and overlay addresses, and brings it up.
 * When it is closed, the device disappears. A persistent one is then as it was before. Must be called where the device
 * is to be.
 * @param netlink of the network namespace where the device is to be
 * @param host of the network namespace whose interfaces tell this host from others
 * @throws UserError; nothing is left behind then
 */
export function openDevice(
  netlink: Netlink,
  settings: Settings,
  mtuBytes: number,
  host: Netlink = netlink,
): LinuxDevice {
  const { mode, local } = settings
  const wanted = settings.dev ?? `${mode}0`
  const before = linkIfThere(netlink, wanted)
  for (const { address } of local) refuseTaken(netlink, address, before?.index)
  const make = () => open(mode, wanted, before)
  // What the kernel's own datapath gives to the device would stay with the processor that the underlay has chosen.
  const device = forbiddenBy(settings) === undefined ? withPacketSteering(make) : make()
  let setup: DeviceSetup | undefined
  try {
    const { index } = getLink(netlink, device.name)
    setup = new DeviceSetup(netlink, index, before)
    const mac = mode === 'tap' ? (settings.mac ?? macOf(host, local, device.name)) : undefined
    setup.change({ mtuBytes, ...(mac === undefined ? {} : { mac: Uint8Array.from(mac) }) })
    for (const address of local) giveAddress(setup, address)
    if (mode === 'tap') announceWhenUp(setup, device.name)
    else if (local.length === 0) giveNoAddress(setup, device.name)
    setup.change({ up: true })
    return new LinuxDevice(netlink, device, { index, mac, setup })
  } catch (error) {
    setup?.undo()
    close(device.fd)
    if (!(error instanceof KernelError)) throw error
    throw new UserError(
      `the kernel refused to set up ${wanted} (${error.message}); check its addresses and MTU of ${mtuBytes} bytes`,
    )
  }
}

/** @throws UserError if the device can have no such address */
function giveAddress(setup: DeviceSetup, local: Settings['local'][number]): void {
  try {
    setup.addAddress(local)
  } catch (error) {
    const refused = error instanceof KernelError && (error.errno === EACCES || error.errno === EOPNOTSUPP)
    if (local.family === 'ipv4' || !refused) throw error
    throw new UserError(`the overlay address ${local.address} cannot be used: ${ipv6Missing()}`)
  }
}

/** Why a device has no IPv6, and what to do. */
function ipv6Missing(): string {
  if (!existsSync('/proc/net/if_inet6'))
    return 'the kernel has no IPv6; boot it without ipv6.disable=1, or leave the address out'
  return 'IPv6 is off for new devices of this host; turn it on with: sysctl net.ipv6.conf.default.disable_ipv6=0'
}

/** The MAC address of this host in this network. @throws KernelError */
function macOf(netlink: Netlink, local: Settings['local'], device: string): MacAddress {
  const network = { local, device, namespace: namespaceIdentity() }
  return ownMac(network, hostIdentity(netlink), new StateDirectory(), randomBytes)
}

/**
 * Makes the kernel announce its addresses to the neighbours when the device comes up. A host that has been
 * asking for them then need not wait for its next try.
 */
function announceWhenUp(setup: DeviceSetup, device: string): void {
  setup.setSysctl(`ipv4/conf/${device}/arp_notify`, '1')
  setup.setSysctl(`ipv6/conf/${device}/ndisc_notify`, '1')
}

/**
 * Whoever gives the addresses to a device of mode tun gives all of them, as with the kernel's WireGuard. wg-quick(8) would
 * write a link-local one into its file.
 */
function giveNoAddress(setup: DeviceSetup, device: string): void {
  setup.setSysctl(`ipv6/conf/${device}/addr_gen_mode`, IN6_ADDR_GEN_MODE_NONE)
}

/** @param before the device of this name that is there already */
function open(mode: Settings['mode'], name: string, before: Link | undefined): TapDevice {
  const info = before?.info === undefined ? undefined : tapInfo(before.info)
  // The kernel would let two programs share such a device, a part of the frames each.
  if (info?.held) throw isTaken(name)
  try {
    return openTap(mode, name, info?.multiQueue)
  } catch (error) {
    if (!(error instanceof KernelError)) throw error
    throw explain(error, mode, name, before !== undefined)
  }
}

function isTaken(name: string): UserError {
  return new UserError(
    `the device ${name} is taken by another program; stop that or choose another name with --dev`,
  )
}

function explain(
  { syscall, errno, message }: KernelError,
  mode: string,
  name: string,
  isThere: boolean,
): UserError {
  if (errno === ENOENT || errno === ENODEV) {
    return new UserError(
      '/dev/net/tun is missing, so no device can be made; load the driver with: modprobe tun',
    )
  }
  if (syscall === 'open' && errno === EACCES && hasCapability(CAP_NET_ADMIN)) {
    return new UserError(
      'this user may not open /dev/net/tun (EACCES), although it has CAP_NET_ADMIN; run as root, or mend that with: chmod 666 /dev/net/tun',
    )
  }
  if (errno === EPERM || errno === EACCES) {
    return new UserError(
      `${isThere ? 'taking' : 'making'} the device ${name} needs the capability CAP_NET_ADMIN; run as root, such as with sudo`,
    )
  }
  if (errno === EBUSY) return isTaken(name)
  if (syscall === 'TUNSETIFF' && errno === EINVAL) {
    return new UserError(
      `there is a device ${name} already, and it is not a free ${mode} device; choose another name with --dev`,
    )
  }
  return new UserError(`the device ${name} cannot be made (${message})`)
}

/**
 * If this host had an overlay address twice, the kernel would answer the tunnel's traffic itself.
 * @param own the index of the device that is to have it, if that is there already
 */
function refuseTaken(netlink: Netlink, address: string, own: number | undefined): void {
  const wanted = ipaddr.parse(address).toString()
  const taken = listAddresses(netlink).find((it) => it.address === wanted && it.index !== own)
  if (taken === undefined) return
  const { name } = getLink(netlink, taken.index)
  throw new UserError(
    `the overlay address ${address} is taken: ${name} of this host has it; choose another or remove it there`,
  )
}
