import { C } from '../memory/counters.js'
import type { WorkerRole } from '../memory/plan.js'
import { type Clock, pause } from './clock.js'
import type { Device, WorkerThreads } from './platform.js'

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
const LOOKS = 100
const LOOK_MS = 20

export interface HealthOptions {
  readonly clock: Clock
  readonly workers: Pick<WorkerThreads, 'ring'>
  /** The workers' blocks of counters. */
  readonly counters: Readonly<Record<WorkerRole, Float64Array>>
  readonly device: Pick<Device, 'name' | 'link'>
}

const ROLES = ['tap', 'udp'] as const

/**
 * Finds out whether both workers turn, and whether the device is up. That main turns is known when it answers. A worker
 * counts a wake-up for each bell, and while it never sleeps for each look at its bell. So it needs no word of its own.
 */
export async function checkHealth({ clock, workers, counters, device }: HealthOptions): Promise<Health> {
  const before = { tap: counters.tap[C.wakeUps], udp: counters.udp[C.wakeUps] }
  const turned = (role: WorkerRole) => counters[role][C.wakeUps] !== before[role]
  workers.ring()
  for (let look = 0; look < LOOKS && !ROLES.every(turned); look++) await pause(clock, LOOK_MS)
  return healthOf(device, { tap: turned('tap'), udp: turned('udp') })
}

function healthOf(device: HealthOptions['device'], workers: Health['workers']): Health {
  const up = device.link()?.up
  const reasons = ROLES.filter((role) => !workers[role]).map(
    (role) => `the ${role} worker has not turned for ${(LOOKS * LOOK_MS) / 1000} s`,
  )
  if (up === undefined) reasons.push(`the device ${device.name} is gone`)
  if (up === false)
    reasons.push(`the device ${device.name} is down; set it up with: ip link set ${device.name} up`)
  return { healthy: reasons.length === 0, reasons, device_up: up === true, workers }
}
