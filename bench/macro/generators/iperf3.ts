import { z } from 'zod'
import { findProgram, packageVersion, runIn } from '../processes.js'
import { type Generator, INTERVAL_SECONDS, type Point, portOpens, type Route } from './generator.js'

const PORT = 5201

/** A run must have ended this much time after the measurement. */
const SPARE_MS = 10_000

const sum = z.object({ seconds: z.number(), bytes: z.number(), packets: z.number().optional() })

/** The part of iperf3's JSON that is used here. */
const reportSchema = z.object({
  intervals: z.array(
    z.object({
      sum: z.object({ end: z.number(), bits_per_second: z.number() }),
      sum_bidir_reverse: z.object({ bits_per_second: z.number() }).optional(),
    }),
  ),
  end: z.object({
    sum_sent: sum,
    sum_received: sum,
    sum_received_bidir_reverse: sum.optional(),
  }),
})

type Report = z.infer<typeof reportSchema>

/** iperf3, if it is installed: for every measurement a server at `far` and a client at `near`. */
export async function iperf3(): Promise<Generator | undefined> {
  const program = findProgram('iperf3')
  if (program === undefined) return undefined
  return {
    name: 'iperf3',
    version: (await packageVersion('iperf3')) ?? 'unknown version',

    async tcp(route, { seconds, streams, bothWays }) {
      const { client, server } = await measure(program, route, seconds, [
        ...['-P', String(streams)],
        ...(bothWays ? ['--bidir'] : []),
      ])
      const received = [
        client.end.sum_received,
        client.end.sum_received_bidir_reverse ?? { bytes: 0, seconds: 1 },
      ]
      return {
        bitsPerSecond: received.reduce((all, { bytes, seconds }) => all + (bytes * 8) / seconds, 0),
        deliveredBytes: received.reduce((all, { bytes }) => all + bytes, 0),
        timeline: timelineOf(server),
      }
    },

    async udp(route, { seconds, payloadBytes, datagramsPerSecond = 0 }) {
      const { client } = await measure(program, route, seconds, [
        '-u',
        ...['-l', String(payloadBytes)],
        ...['-b', String(Math.round(datagramsPerSecond * payloadBytes * 8))],
      ])
      const { sum_sent, sum_received } = client.end
      return {
        sent: sum_sent.packets ?? 0,
        delivered: Math.round(sum_received.bytes / payloadBytes),
        // We do not use the receiver's seconds. Its clock continues while the end of the test, sent over TCP,
        // is lost and repeated.
        seconds: sum_sent.seconds,
      }
    },
  }
}

async function measure(
  program: string,
  { near, far, farAddress, signal }: Route,
  seconds: number,
  args: readonly string[],
): Promise<{ client: Report; server: Report }> {
  const common = ['-J', '-p', String(PORT), '-i', String(INTERVAL_SECONDS)]
  const ending = new AbortController()
  const options = { signal: AbortSignal.any([signal, ending.signal]), timeoutMs: seconds * 1000 + SPARE_MS }
  const server = runIn(far.host, program, ['-s', '-1', ...common], options)
  try {
    await Promise.race([portOpens(far.host, 'tcp', PORT, options.signal), server])
    const client = await runIn(
      near.host,
      program,
      ['-c', farAddress, '-t', String(seconds), '--connect-timeout', '3000', ...args, ...common],
      options,
    )
    return { client: parse(client), server: parse(await server) }
  } finally {
    ending.abort()
    await server.catch(() => {})
  }
}

function parse(json: string): Report {
  const { error, ...report } = JSON.parse(json) as { error?: string }
  if (error !== undefined) throw new Error(`iperf3: ${error}`)
  return reportSchema.parse(report)
}

function timelineOf({ intervals }: Report): Point[] {
  return intervals
    .map(({ sum, sum_bidir_reverse }): Point => {
      return [sum.end, sum.bits_per_second + (sum_bidir_reverse?.bits_per_second ?? 0)]
    })
    .filter(([end], index) => end >= (index + 0.5) * INTERVAL_SECONDS)
}
