import { OffloadWatch } from './offload.js'
import type { Parts, PartsOptions } from './parts.js'
import { StrangerWatch } from './stranger-watch.js'
import { TwinWatch } from './twin-watch.js'

/** What is looked at only to warn a person: hosts with the same MAC, strangers, and offloads that the kernel refuses. */
export class Watches {
  readonly #context: Pick<PartsOptions, 'platform' | 'faults'>
  readonly #offloads: OffloadWatch
  readonly #twins: TwinWatch
  readonly #strangers: StrangerWatch

  constructor(
    context: Pick<PartsOptions, 'settings' | 'platform' | 'faults' | 'log'>,
    { addresses, roster, tables }: Pick<Parts, 'addresses' | 'roster' | 'tables'>,
  ) {
    const { settings, log } = context
    this.#context = context
    this.#offloads = new OffloadWatch(tables.offloads, settings.offload === 'auto', log)
    this.#twins = new TwinWatch(addresses, roster, log)
    this.#strangers = new StrangerWatch(tables.stranger, roster, log)
  }

  /** Must be called once a second. */
  look(): void {
    const { faults, platform } = this.#context
    faults.run('addresses', () => this.#twins.look())
    faults.run('peer', () => this.#strangers.look(platform.clock.nowMs()))
    this.lookAtOffloads()
  }

  /** The device has just been made. */
  lookAtOffloads(): void {
    this.#context.faults.run('device', () => this.#offloads.look())
  }
}
