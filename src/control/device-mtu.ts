import type { DeviceBridge, DeviceLink } from './device.js'

/**
 * What decides on the device's MTU. `settings`: a number, or `safe`. `paths`: what the paths to the peers carry.
 * `bridge`: the bridge that the device is a port of. `hand`: somebody has set it while the tunnel runs. `ceiling`: the
 * paths would carry more, but somebody wants no more.
 */
export type MtuRule = 'settings' | 'paths' | 'bridge' | 'hand' | 'ceiling'

export interface DeviceMtuChoice {
  readonly bytes: number
  readonly rule: MtuRule
  readonly bridge: BridgeBrings | undefined
}

/** The bridge that the device is a port of. */
export interface BridgeBrings {
  readonly name: string
  /** The MTU of the longest frames that it may bring; undefined if its MTU only follows the device's. */
  readonly bytes: number | undefined
}

export interface DeviceMtuWish {
  /** The MTU by the settings and the paths to the peers. */
  readonly bytes: number
  /** Whether the paths decide on it, and not the settings. */
  readonly automatic: boolean
  /** The MTU of the longest frames that a datagram carries. */
  readonly mostBytes: number
}

/**
 * Chooses the device's MTU.
 *
 * A bridge drops a frame that is longer than the MTU of the port where it would leave. It tells nobody. So the
 * device, as a port, takes frames as long as the other ports may bring them. What is too long for a path is then
 * this program's to answer, to send in fragments, or to count.
 */
export class DeviceMtu {
  /** What it was set to last, by this program or by hand. */
  #present: DeviceMtuChoice
  /** The bridge of the last look; and whether its MTU was seen to be other than the least of its ports'. */
  #bridgeIndex: number | undefined
  #bridgeStands = false
  #ceilingBytes: number | undefined

  /**
   * @param ceilingBytes the greatest MTU that the paths may give to the device. Whoever sets the MTU by hand sets this.
   *   Undefined: an MTU that is set by hand stays as it is
   */
  constructor(present: DeviceMtuChoice, ceilingBytes?: number) {
    this.#ceilingBytes = ceilingBytes
    this.#present = this.#capped(present)
  }

  get present(): DeviceMtuChoice {
    return this.#present
  }

  /** @param link the device as it is; undefined if it has gone */
  choose(link: DeviceLink | undefined, wish: DeviceMtuWish): DeviceMtuChoice {
    if (link === undefined) return this.#present
    const own = this.#choose(link, wish)
    const touched = link.mtuBytes !== this.#present.bytes
    if (this.#ceilingBytes !== undefined) {
      if (touched) this.#ceilingBytes = link.mtuBytes
      return this.#capped(own)
    }
    // Whoever sets it to what this program would choose gives it back.
    const byHand = touched ? link.mtuBytes !== own.bytes : this.#present.rule === 'hand'
    return byHand ? { ...own, bytes: link.mtuBytes, rule: 'hand' } : own
  }

  #capped(choice: DeviceMtuChoice): DeviceMtuChoice {
    const { bytes } = choice
    const ceiling = this.#ceilingBytes ?? bytes
    return bytes <= ceiling ? choice : { ...choice, bytes: ceiling, rule: 'ceiling' }
  }

  /** The device has the MTU that was chosen. */
  isSet(choice: DeviceMtuChoice): void {
    this.#present = choice
  }

  #choose({ mtuBytes, bridge }: DeviceLink, { bytes, automatic, mostBytes }: DeviceMtuWish): DeviceMtuChoice {
    const brings = this.#brings(mtuBytes, bridge)
    if (!automatic) return { bytes, rule: 'settings', bridge: brings }
    if (brings?.bytes === undefined) return { bytes, rule: 'paths', bridge: brings }
    return { bytes: Math.min(brings.bytes, mostBytes), rule: 'bridge', bridge: brings }
  }

  /**
   * If nobody has set the bridge's own MTU, it is the least of its ports' (br_mtu_auto_adjust of
   * net/bridge/br_if.c). So if the device is narrow, then the bridge is, and only the other ports tell what comes.
   * Without other ports, frames come only from this host, by the bridge's own MTU.
   */
  #brings(deviceBytes: number, bridge: DeviceBridge | undefined): BridgeBrings | undefined {
    if (bridge?.index !== this.#bridgeIndex) this.#bridgeStands = false
    this.#bridgeIndex = bridge?.index
    if (bridge === undefined) return undefined
    const { name, othersBytes } = bridge
    if (bridge.mtuBytes !== Math.min(deviceBytes, ...othersBytes)) this.#bridgeStands = true
    const follows = othersBytes.length === 0 && !this.#bridgeStands
    return { name, bytes: follows ? undefined : Math.max(bridge.mtuBytes, ...othersBytes) }
  }
}
