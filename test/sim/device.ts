import type { Device, DeviceBridge, DeviceLink } from '../../src/control/device.js'
import type { LinkStatistics } from '../../src/linux/interface.js'
import type { MacAddress } from '../../src/wire/ethernet.js'

const INDEX = 7

/** The device of a simulated host. It remembers its MTUs. */
export class SimDevice implements Device {
  readonly name: string
  readonly index = INDEX
  readonly mac: MacAddress | undefined
  /** Every MTU that it was given, in order. */
  readonly mtus: number[]
  /** The bridge that it is a port of, with an MTU that nobody has set unless it is here. */
  bridge: (Omit<DeviceBridge, 'mtuBytes'> & { readonly mtuBytes?: number }) | undefined
  /** Rtnetlink tells of its changes. */
  onChange = () => {}
  #handBytes: number | undefined

  constructor(name: string, mac: MacAddress | undefined, mtuBytes: number) {
    this.name = name
    this.mac = mac
    this.mtus = [mtuBytes]
  }

  setOffloads(wanted: boolean): { tso: boolean; uso: boolean } {
    return { tso: wanted, uso: wanted }
  }

  setMtu(bytes: number): void {
    this.mtus.push(bytes)
    this.#handBytes = undefined
    this.onChange()
  }

  restoreAddresses(): void {}

  /** Somebody sets its MTU. */
  byHand(bytes: number): void {
    this.#handBytes = bytes
    this.onChange()
  }

  /** It becomes a port of a bridge, or leaves it. */
  join(bridge: SimDevice['bridge']): void {
    this.bridge = bridge
    this.onChange()
  }

  get mtuBytes(): number {
    return this.#handBytes ?? this.mtus[this.mtus.length - 1]
  }

  link(): DeviceLink {
    const { mtuBytes, bridge } = this
    if (bridge === undefined) return { mtuBytes, up: true, bridge }
    const least = Math.min(mtuBytes, ...bridge.othersBytes)
    return { mtuBytes, up: true, bridge: { ...bridge, mtuBytes: bridge.mtuBytes ?? least } }
  }

  statistics(): LinkStatistics {
    return { rxDropped: 0, txDropped: 0, rxErrors: 0, txErrors: 0 }
  }
}
