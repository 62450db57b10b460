import { setTimeout as sleep } from 'node:timers/promises'
import type { Route } from '../generators/generator.js'
import type { Values } from '../metrics.js'
import { runIn } from '../processes.js'
import { quantile } from '../statistics.js'
import { GENERATOR_SECONDS, type Load } from './load.js'

const PINGS = 150
const INTERVAL_SECONDS = 0.01
const PINGS_SECONDS = PINGS * INTERVAL_SECONDS
/** After this time TCP has filled the path. */
const SETTLE_SECONDS = 0.4
const LOADED_SECONDS = Math.ceil(SETTLE_SECONDS + PINGS_SECONDS)

async function ping({ near, farAddress, signal }: Route): Promise<Values> {
  const args = ['-n', '-i', String(INTERVAL_SECONDS), '-c', String(PINGS), '-W', '1', farAddress]
  const roundTripsMs = roundTrips(await runIn(near.host, 'ping', args, { signal }))
  return {
    p50Ms: quantile(roundTripsMs, 0.5),
    meanMs: roundTripsMs.reduce((sum, ms) => sum + ms, 0) / roundTripsMs.length,
    p99Ms: quantile(roundTripsMs, 0.99),
    lostPercent: 100 * (1 - roundTripsMs.length / PINGS),
  }
}

/** The round trips in the output of ping(8), in milliseconds. @throws Error if there is none */
export function roundTrips(output: string): number[] {
  const all = [...output.matchAll(/ time=([\d.]+) ms/g)].map(([, ms]) => Number(ms))
  if (all.length === 0) throw new Error('no ping was answered')
  return all
}

export const pingIdle: Load = {
  name: 'ping-idle',
  title: 'ping, idle otherwise',
  metric: 'p50Ms',
  estimateSeconds: () => PINGS_SECONDS,
  async run({ route }) {
    return { values: await ping(route) }
  },
}

export const pingLoaded: Load = {
  name: 'ping-loaded',
  title: 'ping, under TCP in one stream',
  metric: 'p50Ms',
  estimateSeconds: () => LOADED_SECONDS + GENERATOR_SECONDS,
  async run({ route, generator }) {
    const [pings, load] = await Promise.allSettled([
      sleep(SETTLE_SECONDS * 1000, undefined, { signal: route.signal }).then(() => ping(route)),
      generator.tcp(route, { seconds: LOADED_SECONDS, streams: 1, bothWays: false }),
    ])
    if (load.status === 'rejected') throw load.reason
    if (pings.status === 'rejected') throw pings.reason
    return { values: pings.value }
  },
}
