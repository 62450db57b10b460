import type { Logger } from 'pino'
import { KernelError } from '../linux/errno.js'
import type { Clock } from './clock.js'
import type { Device } from './device.js'
import type { Network } from './network.js'

/** The least time between two repairs. Routes that the program itself removes look as if they were lost. */
const REPAIR_MS = 1_000

export interface DeviceWatchOptions {
  readonly device: Pick<Device, 'name' | 'link' | 'restoreAddresses'>
  readonly network: Pick<Network, 'deviceHasLost'>
  readonly clock: Pick<Clock, 'nowMs'>
  readonly log: Pick<Logger, 'warn' | 'info'>
  /** Somebody has set the device down. */
  readonly onDown: () => void
  /** The device is up, and some of its routes may be gone. */
  readonly onLoss: () => void
}

/**
 * Mends what the device loses while the tunnel runs. When somebody sets it down, the kernel removes its routes and its
 * addresses of IPv6, and does not bring them back. Without them, traffic would go out unencrypted.
 */
export class DeviceWatch {
  readonly #options: DeviceWatchOptions
  /** Whether something may be gone. */
  #hasLost = false
  #isDown = false
  #repairedMs = Number.NEGATIVE_INFINITY

  constructor(options: DeviceWatchOptions) {
    this.#options = options
  }

  /** Must be called after each change that rtnetlink tells of, and once a second. @throws KernelError */
  look(): void {
    const { device, network, clock, onLoss } = this.#options
    if (network.deviceHasLost()) this.#hasLost = true
    if (!this.#hasLost) return
    const link = device.link()
    // It may have gone into another network namespace.
    if (link === undefined) return
    if (!link.up) {
      this.#tellDown()
      return
    }
    const nowMs = clock.nowMs()
    if (nowMs < this.#repairedMs + REPAIR_MS) return
    this.#repairedMs = nowMs
    this.#hasLost = false
    this.#tellUp()
    this.#restoreAddresses()
    onLoss()
  }

  #tellDown(): void {
    if (this.#isDown) return
    const { device, log, onDown } = this.#options
    this.#isDown = true
    log.warn(
      `${device.name} is down, so nothing passes through the tunnel; set it up with: ip link set ${device.name} up`,
    )
    onDown()
  }

  #tellUp(): void {
    if (!this.#isDown) return
    this.#isDown = false
    this.#options.log.info(`${this.#options.device.name} is up again`)
  }

  #restoreAddresses(): void {
    const { device, log } = this.#options
    try {
      device.restoreAddresses()
    } catch (error) {
      if (!(error instanceof KernelError)) throw error
      log.warn(
        `the kernel refused to give ${device.name} its addresses again (${error.message}); set them with: ip addr add`,
      )
    }
  }
}
