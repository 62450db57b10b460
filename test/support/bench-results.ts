import type { MetricName } from '../../bench/macro/metrics.js'
import type { Results, Sample } from '../../bench/macro/results.js'

export const UNDERLAY = 'mtu=1500,offload=on'

/** The value of a sample; undefined if the round has none. */
export type ValueOf = (peer: string, load: string, metric: MetricName, round: number) => number | undefined

export interface Shape {
  readonly rounds: number
  readonly peers: readonly string[]
  readonly loads: readonly { name: string; metric: MetricName; beside?: readonly MetricName[] }[]
}

/** Results with these values, in the form that a run writes. */
export function resultsOf({ rounds, peers, loads }: Shape, sampleOf: ValueOf): Results {
  const samples = Array.from({ length: rounds }, (_, index) => index + 1).flatMap((round) =>
    peers.flatMap((peer) =>
      loads.flatMap(({ name, metric, beside = [] }) =>
        [metric, ...beside].flatMap((metric): Sample[] => {
          const value = sampleOf(peer, name, metric, round)
          return value === undefined ? [] : [{ round, underlay: UNDERLAY, peer, load: name, metric, value }]
        }),
      ),
    ),
  )
  return {
    format: 'udptun-fast bench',
    version: 1,
    startedAt: '2026-01-02T03:04:05.678Z',
    finishedAt: '2026-01-02T03:14:05.678Z',
    command: 'npm run bench',
    machine: {
      system: 'Debian GNU/Linux 12',
      kernel: '6.18.0',
      architecture: 'x64',
      cpu: 'A <fast> one',
      cores: 2,
      memoryBytes: 8e9,
      virtual: true,
      node: 'v20.20.2',
      tcpCongestionControl: 'cubic',
      loadAverage: 0.01,
    },
    generator: { name: 'iperf3', version: '3.12' },
    rounds,
    seconds: 1,
    underlays: [
      {
        name: UNDERLAY,
        title: 'MTU 1500, as it is',
        mtuBytes: 1500,
        offloadsOn: ['tx-checksumming'],
        rate: null,
      },
    ],
    peers: peers.map((name) => ({ name, title: name, encrypts: false, version: '1.0' })),
    skipped: [],
    loads: loads.map(({ name, metric }) => ({ name, title: name.toUpperCase(), metric })),
    samples,
    timelines: [],
    failures: [],
  }
}

/** Random numbers with a normal distribution (mean 0, deviation 1) from a seed (Mulberry32 and Box-Muller). */
export function normal(seed: number): () => number {
  let state = seed
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
}
