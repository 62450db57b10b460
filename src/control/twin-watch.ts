import type { Logger } from 'pino'
import type { Addresses } from './addresses.js'
import type { Roster } from './peer/roster.js'

/**
 * Says which peers send with this device's MAC address, once for each. The switch drops such frames, so nothing
 * else shows what is wrong.
 */
export class TwinWatch {
  readonly #addresses: Pick<Addresses, 'takeTwin'>
  readonly #roster: Pick<Roster, 'at'>
  readonly #log: Pick<Logger, 'warn'>
  readonly #said = new Set<string>()

  constructor(addresses: Pick<Addresses, 'takeTwin'>, roster: Pick<Roster, 'at'>, log: Pick<Logger, 'warn'>) {
    this.#addresses = addresses
    this.#roster = roster
    this.#log = log
  }

  /** Must be called once a second. */
  look(): void {
    const twin = this.#addresses.takeTwin()
    const name = twin === undefined ? undefined : this.#roster.at(twin.row)?.name
    if (twin === undefined || name === undefined || this.#said.has(name)) return
    this.#said.add(name)
    this.#log.warn(
      { peer: name, mac: twin.mac },
      `${name} has this device's MAC address, ${twin.mac}, so its frames from that address are dropped; give one of the two devices another address with --mac, or, if there is a loop behind them, break it`,
    )
  }
}
