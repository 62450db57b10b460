import type { Logger } from 'pino'
import { OFFLOAD_MEANING, OFFLOADS, type Offload, type Offloads } from '../memory/offloads.js'
import type { Device } from './device.js'
import type { DataSocket } from './platform.js'

export { OFFLOADS }

/** Turns on the offloads that the kernel offers. The workers turn off those that do not work. */
export function enableOffloads(
  offloads: Offloads,
  device: Device,
  socket: DataSocket,
  wanted: boolean,
): void {
  const { tso, uso } = device.setOffloads(wanted)
  offloads.set('device_tso', tso)
  offloads.set('device_uso', uso)
  offloads.set('udp_segment', wanted)
  offloads.set('udp_gro', wanted && socket.enableGro())
}

export type OffloadStatus = Readonly<Record<Offload, boolean>>

export function offloadStatus(offloads: Offloads): OffloadStatus {
  return Object.fromEntries(OFFLOADS.map((offload) => [offload, offloads.isOn(offload)])) as OffloadStatus
}

/** Logs once for each offload that was wanted and is off. */
export class OffloadWatch {
  readonly #offloads: Offloads
  readonly #log: Logger
  readonly #expected: Set<Offload>

  constructor(offloads: Offloads, wanted: boolean, log: Logger) {
    this.#offloads = offloads
    this.#log = log
    this.#expected = new Set(wanted ? OFFLOADS : [])
  }

  look(): void {
    for (const offload of this.#expected) {
      if (this.#offloads.isOn(offload)) continue
      this.#expected.delete(offload)
      this.#log.warn(
        { offload },
        `the kernel refuses ${OFFLOAD_MEANING[offload]}; carrying on without, slower`,
      )
    }
  }
}
