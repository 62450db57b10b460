import type { LinkStatistics } from '../linux/interface.js'
import type { MacAddress } from '../wire/ethernet.js'

/** The tunnel's own device. */
export interface Device {
  readonly name: string
  readonly index: number
  /** Undefined in tun mode. */
  readonly mac: MacAddress | undefined
  /** Resolves with the reason when the device's own network namespace is gone; undefined if it has none. */
  readonly lost?: Promise<Error> | undefined
  /** Turns the device's offloads on or off. @returns those that are on */
  setOffloads(wanted: boolean): { readonly tso: boolean; readonly uso: boolean }
  /** @throws KernelError */
  setMtu(bytes: number): void
  /**
   * Gives it again the overlay addresses that it was given when it was made, if they are gone. When a device is set down,
   * the kernel takes those of IPv6 away. @throws KernelError
   */
  restoreAddresses(): void
  /** The device as it is now; undefined if it has just gone. @throws KernelError */
  link(): DeviceLink | undefined
  /** The kernel's counters; undefined if the device has just gone. @throws KernelError */
  statistics(): LinkStatistics | undefined
}

/** What anybody may change of the device. */
export interface DeviceLink {
  readonly mtuBytes: number
  /** Whether somebody has set it up (`IFF_UP`). */
  readonly up: boolean
  /** The bridge that the device is a port of; undefined if there is none. */
  readonly bridge: DeviceBridge | undefined
}

/** A bridge of the kernel. */
export interface DeviceBridge {
  readonly index: number
  readonly name: string
  /** Either the least MTU of all its ports, or what somebody has set. The kernel does not say which. */
  readonly mtuBytes: number
  /** The MTUs of its other ports. */
  readonly othersBytes: readonly number[]
}
