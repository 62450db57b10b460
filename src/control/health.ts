import type { WorkerRole } from '../memory/plan.js'
import type { Pulse } from '../memory/pulse.js'
import { type Clock, pause } from './clock.js'
import type { Device } from './device.js'
import type { WorkerThreads } from './platform.js'

/** Whether a tunnel works. A peer that is down does not count: nothing on this host can mend that. */
export interface Health {
  readonly healthy: boolean
  /** Sentences without a full stop. Empty if it is healthy. */
  readonly reasons: readonly string[]
  readonly device_up: boolean
  /** Which worker has turned when it was rung for. */
  readonly workers: Readonly<Record<WorkerRole, boolean>>
}

/**
 * A worker that is rung for turns within a fraction of a millisecond. Looks are counted and not time: while this
 * machine stands still, main does not look.
 */
const LOOKS = 400
const LOOK_MS = 5

const ROLES = ['tap', 'udp'] as const

export interface VitalsOptions {
  readonly clock: Clock
  readonly workers: Pick<WorkerThreads, 'ring'>
  readonly pulse: Pulse
  readonly device: Pick<Device, 'name' | 'link'>
}

/**
 * Finds out whether both workers turn, and whether the device is up. That main turns is known when it answers. The
 * watchdog's questions and those of {@link check} have numbers of their own, so they do not disturb each other.
 */
export class Vitals {
  readonly #options: VitalsOptions
  /** The watchdog's last question; undefined before the first one. */
  #asked: number | undefined

  constructor(options: VitalsOptions) {
    this.#options = options
  }

  /** For the watchdog: whether both workers have turned since the last call that returned true. */
  workersTurn(): boolean {
    const { pulse } = this.#options
    const asked = this.#asked
    if (asked !== undefined && !ROLES.every((role) => pulse.hasAnswered(role, asked))) return false
    this.#asked = this.#ask()
    return true
  }

  /** Takes two seconds if a worker does not turn. */
  async check(): Promise<Health> {
    const { clock, pulse, device } = this.#options
    const asked = this.#ask()
    const turned = (role: WorkerRole) => pulse.hasAnswered(role, asked)
    for (let look = 0; look < LOOKS && !ROLES.every(turned); look++) await pause(clock, LOOK_MS)
    return healthOf(device, { tap: turned('tap'), udp: turned('udp') })
  }

  #ask(): number {
    const asked = this.#options.pulse.ask()
    this.#options.workers.ring()
    return asked
  }
}

function healthOf(device: VitalsOptions['device'], workers: Health['workers']): Health {
  const up = device.link()?.up
  const reasons = ROLES.filter((role) => !workers[role]).map(
    (role) => `the ${role} worker has not turned for ${(LOOKS * LOOK_MS) / 1000} s`,
  )
  if (up === undefined) reasons.push(`the device ${device.name} is gone`)
  if (up === false)
    reasons.push(`the device ${device.name} is down; set it up with: ip link set ${device.name} up`)
  return { healthy: reasons.length === 0, reasons, device_up: up === true, workers }
}
