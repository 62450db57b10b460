import { readFileSync, writeFileSync } from 'node:fs'
import type { LocalAddress } from '../../config/addresses.js'
import { addAddress, removeAddress } from '../../linux/address.js'
import { EEXIST, KernelError } from '../../linux/errno.js'
import { type Link, type LinkChange, setLink } from '../../linux/interface.js'
import type { Netlink } from '../../linux/netlink.js'

/**
 * Sets a device up, and takes it back if the device was there before: what a run has set goes with the run, and
 * what stood there stays. A device that the run has made goes as a whole.
 */
export class DeviceSetup {
  readonly #netlink: Netlink
  readonly #index: number
  /** The device as it was; undefined if the run has made it. */
  readonly #before: Link | undefined
  readonly #added: LocalAddress[] = []
  /** The values of the settings in /proc/sys that were changed. */
  readonly #settings = new Map<string, string>()
  #changed: LinkChange = {}

  constructor(netlink: Netlink, index: number, before: Link | undefined) {
    this.#netlink = netlink
    this.#index = index
    this.#before = before
  }

  /** @throws KernelError */
  change(change: LinkChange): void {
    setLink(this.#netlink, this.#index, change)
    this.#changed = { ...this.#changed, ...change }
  }

  /** Gives the device an address, unless it has it. @throws KernelError */
  addAddress(local: LocalAddress): void {
    try {
      addAddress(this.#netlink, this.#index, local.address, local.prefixLength)
    } catch (error) {
      if (this.#before !== undefined && error instanceof KernelError && error.errno === EEXIST) return
      throw error
    }
    this.#added.push(local)
  }

  /** Gives the device again the addresses of IPv6 that it was given, if it has them no more. @throws KernelError */
  restoreAddresses(): void {
    for (const { address, prefixLength } of this.#added.filter(({ family }) => family === 'ipv6')) {
      try {
        addAddress(this.#netlink, this.#index, address, prefixLength)
      } catch (error) {
        if (!(error instanceof KernelError && error.errno === EEXIST)) throw error
      }
    }
  }

  /** Sets a file in /proc/sys/net. If it is read-only (in a container), nothing happens. */
  setSysctl(name: string, value: string): void {
    const file = `/proc/sys/net/${name}`
    try {
      const before = readFileSync(file, 'utf8')
      writeFileSync(file, value)
      this.#settings.set(file, before)
    } catch {}
  }

  /** Makes the device what it was. What cannot be taken back, because somebody else has changed it, stays. */
  undo(): void {
    const before = this.#before
    if (before === undefined) return
    for (const { address, prefixLength } of this.#added)
      this.#try(() => removeAddress(this.#netlink, this.#index, address, prefixLength))
    for (const [file, value] of this.#settings) {
      try {
        writeFileSync(file, value)
      } catch {}
    }
    const { mac, mtuBytes, up } = this.#changed
    if (up !== undefined) this.#try(() => setLink(this.#netlink, this.#index, { up: before.up }))
    if (mtuBytes !== undefined)
      this.#try(() => setLink(this.#netlink, this.#index, { mtuBytes: before.mtuBytes }))
    if (mac !== undefined && before.mac !== undefined) {
      const bytes = Uint8Array.from(before.mac.split(':'), (byte) => Number.parseInt(byte, 16))
      this.#try(() => setLink(this.#netlink, this.#index, { mac: bytes }))
    }
  }

  #try(work: () => void): void {
    try {
      work()
    } catch (error) {
      if (!(error instanceof KernelError)) throw error
    }
  }
}
