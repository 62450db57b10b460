import type { DeviceMode } from '../wire/mode.js'
import {
  IFF_TAP,
  IFLA_INFO_DATA,
  IFLA_TUN_MULTI_QUEUE,
  IFLA_TUN_NUM_QUEUES,
  IFLA_TUN_TYPE,
} from './constants.js'
import { linkKind } from './link-kind.js'
import { decodeAttributes } from './netlink.js'

/** What the kernel says of a tap or tun device. */
export interface TapInfo {
  readonly mode: DeviceMode
  /** Whether it was made with `IFF_MULTI_QUEUE`. Whoever opens it must say so, too. */
  readonly multiQueue: boolean
  /** Whether a program holds it. */
  readonly held: boolean
}

/**
 * Undefined if the interface is no tap or tun device.
 * @param info the content of `IFLA_LINKINFO`
 */
export function tapInfo(info: Buffer): TapInfo | undefined {
  const data = decodeAttributes(info).get(IFLA_INFO_DATA)
  if (data === undefined || linkKind(info) !== 'tun') return undefined
  const values = decodeAttributes(data)
  return {
    mode: values.get(IFLA_TUN_TYPE)?.readUInt8() === IFF_TAP ? 'tap' : 'tun',
    multiQueue: values.get(IFLA_TUN_MULTI_QUEUE)?.readUInt8() === 1,
    // The kernel counts the queues only of a device that may have several.
    held: (values.get(IFLA_TUN_NUM_QUEUES)?.readUInt32LE() ?? 0) > 0,
  }
}
