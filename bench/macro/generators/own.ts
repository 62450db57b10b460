import { fileURLToPath } from 'node:url'
import type { Site } from '../lab.js'
import { runIn } from '../processes.js'
import { type Generator, portOpens, type Route } from './generator.js'
import type { SinkReport, SourceReport } from './own-program.js'

const PROGRAM = fileURLToPath(new URL('./own-program.js', import.meta.url))
const PORT = 5202
/** A run must have ended this much time after the measurement. */
const SPARE_SECONDS = 8

interface Measurement {
  readonly source: SourceReport
  readonly sink: SinkReport
}

/** Used if iperf3 is not installed: Node.js sockets, in processes of their own (own-program.ts). */
export const own: Generator = {
  name: 'own generator (Node sockets)',
  version: process.version,

  async tcp(route, { seconds, streams, bothWays }) {
    const go = (from: Site, to: Site, address: string) =>
      measure(route, from, to, ['tcp', address], [streams], [streams, seconds], seconds)
    const runs = await Promise.all([
      go(route.near, route.far, route.farAddress),
      ...(bothWays ? [go(route.far, route.near, route.nearAddress)] : []),
    ])
    const sinks = runs.map(({ sink }) => sink)
    return {
      bitsPerSecond: sinks.reduce((sum, { received, seconds }) => sum + (received * 8) / seconds, 0),
      deliveredBytes: sinks.reduce((sum, { received }) => sum + received, 0),
      timeline: sinks[0].timeline.map(([at, rate], index) => [
        at,
        sinks.slice(1).reduce((sum, { timeline }) => sum + (timeline[index]?.[1] ?? 0), rate),
      ]),
    }
  },

  async udp(route, { seconds, payloadBytes, datagramsPerSecond = 0 }) {
    const { source, sink } = await measure(
      route,
      route.near,
      route.far,
      ['udp', route.farAddress],
      [seconds + SPARE_SECONDS / 2],
      [payloadBytes, seconds, datagramsPerSecond],
      seconds,
    )
    return { sent: source.sent, delivered: sink.received, seconds: source.seconds }
  },
}

async function measure(
  { signal }: Route,
  from: Site,
  to: Site,
  [protocol, address]: ['tcp' | 'udp', string],
  sinkArgs: readonly number[],
  sourceArgs: readonly number[],
  seconds: number,
): Promise<Measurement> {
  const ending = new AbortController()
  const options = {
    signal: AbortSignal.any([signal, ending.signal]),
    timeoutMs: (seconds + SPARE_SECONDS) * 1000,
  }
  const start = (site: Site, role: string, args: readonly number[]) =>
    runIn(
      site.host,
      process.execPath,
      [PROGRAM, role, protocol, address, String(PORT), ...args.map(String)],
      options,
    )
  const sink = start(to, 'sink', sinkArgs)
  try {
    await Promise.race([portOpens(to.host, protocol, PORT, options.signal), sink])
    const source = await start(from, 'source', sourceArgs)
    return { source: JSON.parse(source), sink: JSON.parse(await sink) }
  } finally {
    ending.abort()
    await sink.catch(() => {})
  }
}
