import { setTimeout as sleep } from 'node:timers/promises'
import type { Generator, Route } from './generators/generator.js'
import { Lab } from './lab.js'
import type { Load } from './loads/load.js'
import type { MetricName } from './metrics.js'
import type { Tunnel } from './peers/peer.js'
import { type Plan, type Step, steps } from './plan.js'
import { cpuSeconds, residentBytes } from './processes.js'
import type { Failure, Results } from './results.js'

export type Measurements = Pick<Results, 'samples' | 'timelines' | 'failures'>

/** Is told about the progress. */
export interface Observer {
  step(step: Step, index: number): void
  load(load: Load): void
  failure(failure: Failure): void
}

/** Most time from the start of a tunnel to its first ping. */
const FIRST_PING_MS = 15_000

/**
 * Executes a plan. If a tunnel or a load fails, this notes it and continues with the rest.
 * @throws the signal's reason if it is aborted; everything that was started has ended by then
 */
export async function run(
  plan: Plan,
  generator: Generator,
  observer: Observer,
  signal: AbortSignal,
): Promise<Measurements> {
  const measurements: Measurements = { samples: [], timelines: [], failures: [] }
  for (const [index, step] of steps(plan).entries()) {
    const where = { round: step.round, underlay: step.underlay.name, peer: step.peer.name }
    const note = (load: string | null, error: unknown) => {
      signal.throwIfAborted()
      const failure = { ...where, load, message: (error as Error).message }
      measurements.failures.push(failure)
      observer.failure(failure)
    }
    observer.step(step, index)
    try {
      await using lab = await Lab.create(step.underlay, signal)
      const { tunnel, startMs } = await startTunnel(step, lab)
      const { nearAddress, farAddress } = tunnel
      const route = { near: lab.near, far: lab.far, nearAddress, farAddress, signal }
      for (const load of plan.loads) {
        observer.load(load)
        try {
          lab.check()
          const { values, timeline } = await measure(load, route, tunnel, {
            generator,
            seconds: plan.seconds,
            startMs,
          })
          for (const [metric, value] of Object.entries(values) as [MetricName, number][]) {
            measurements.samples.push({ ...where, load: load.name, metric, value })
          }
          if (timeline !== undefined && step.round === 1)
            measurements.timelines.push({ ...where, load: load.name, points: timeline })
        } catch (error) {
          note(load.name, error)
        }
      }
    } catch (error) {
      note(null, error)
    }
  }
  return measurements
}

async function startTunnel(
  { peer }: Step,
  lab: Lab,
): Promise<{ tunnel: Tunnel; startMs: number | undefined }> {
  const start = await peer.prepare(lab)
  const begun = performance.now()
  const tunnel = await start()
  await firstPing(lab, tunnel)
  const startMs = peer.startSeconds === 0 ? undefined : performance.now() - begun
  await sleep((peer.settleSeconds ?? 0) * 1000, undefined, { signal: lab.signal })
  return { tunnel, startMs }
}

async function firstPing(lab: Lab, { farAddress }: Tunnel): Promise<void> {
  const deadline = performance.now() + FIRST_PING_MS
  for (;;) {
    lab.check()
    lab.repeatArpSoon()
    try {
      await lab.run(lab.near.host, 'ping', ['-n', '-c', '1', '-i', '0.01', '-w', '5', farAddress])
      return
    } catch {
      // No route or no neighbour yet.
      lab.signal.throwIfAborted()
      if (performance.now() > deadline)
        throw new Error(`no ping came through within ${FIRST_PING_MS / 1000} s`)
      await sleep(3)
    }
  }
}

async function measure(
  load: Load,
  route: Route,
  { pids }: Tunnel,
  settings: { generator: Generator; seconds: number; startMs: number | undefined },
) {
  const before = cpuSeconds(pids)
  const { values, deliveredBytes, timeline } = await load.run({ route, ...settings })
  if (deliveredBytes === undefined || pids.length === 0) return { values, timeline }
  const used = cpuSeconds(pids) - before
  return {
    values: {
      ...values,
      ...(deliveredBytes > 0 ? { cpuSecondsPerGigabyte: (used / deliveredBytes) * 1e9 } : {}),
      residentBytes: residentBytes(pids),
    },
    timeline,
  }
}
