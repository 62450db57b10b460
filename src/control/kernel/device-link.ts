import { linkIfThere, listPorts } from '../../linux/interface.js'
import { linkKind } from '../../linux/link-kind.js'
import type { Netlink } from '../../linux/netlink.js'
import type { DeviceBridge, DeviceLink } from '../device.js'

/** The device with this index, as the kernel has it; undefined if it has gone. @throws KernelError */
export function deviceLink(netlink: Netlink, index: number): DeviceLink | undefined {
  const link = linkIfThere(netlink, index)
  if (link === undefined) return undefined
  const { mtuBytes, up, masterIndex } = link
  return {
    mtuBytes,
    up,
    bridge: masterIndex === undefined ? undefined : bridgeOf(netlink, index, masterIndex),
  }
}

/** Undefined if the device's master is no bridge, or has just gone. */
function bridgeOf(netlink: Netlink, index: number, masterIndex: number): DeviceBridge | undefined {
  const master = linkIfThere(netlink, masterIndex)
  if (master === undefined || linkKind(master.info) !== 'bridge') return undefined
  const others = listPorts(netlink, masterIndex).filter((port) => port.index !== index)
  const { name, mtuBytes } = master
  return { index: masterIndex, name, mtuBytes, othersBytes: others.map((port) => port.mtuBytes) }
}
