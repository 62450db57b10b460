import { Command, CommanderError } from 'commander'
import { createLogUpdate } from 'log-update'
import { Bench } from 'tinybench'
import { stderrColors, stdoutColors } from '../../src/cli/colors.js'
import { fail } from '../../src/cli/fail.js'
import { table } from '../../src/cli/table.js'
import { describeMachine } from '../macro/machine.js'
import { checksums } from './checksum.js'
import { ecn } from './ecn.js'
import { forwarding } from './forwarding.js'
import { koffiCalls } from './koffi.js'
import type { Micro, Timing } from './micro.js'
import { offloads } from './offload.js'
import { privates } from './private.js'
import { measurePrograms, PROGRAMS } from './programs.js'
import { relays } from './relay.js'
import { rings } from './ring.js'

/** New parts of the hot path need a benchmark here. */
const MICROS: readonly Micro[] = [
  ...koffiCalls,
  ...rings,
  ...checksums,
  ...offloads,
  ...ecn,
  ...forwarding,
  ...privates,
  ...relays,
]

/** So many at a time that the cost of reading the clock does not matter. */
const BATCH = 1000
const TIME_MS = 400
const WARMUP_MS = 100

async function measure(micro: Micro): Promise<Timing> {
  const bench = new Bench({ time: TIME_MS, warmupTime: WARMUP_MS, throws: true })
  bench.add(micro.name, () => micro.run(BATCH))
  const [task] = await bench.run()
  const { result } = task
  if (!('latency' in result)) throw new Error(`${micro.name} was not measured`)
  const once = (milliseconds: number) => Number(((milliseconds * 1e6) / BATCH).toFixed(2))
  const medianNs = once(result.latency.p50)
  return {
    group: micro.group,
    name: micro.name,
    medianNs,
    p75Ns: once(result.latency.p75),
    p99Ns: once(result.latency.p99),
    batches: result.latency.samplesCount,
    gigabytesPerSecond: micro.bytes === undefined ? null : Number((micro.bytes / medianNs).toFixed(2)),
  }
}

function render(timings: readonly Timing[]): string {
  const ns = (value: number) => (value >= 99.95 ? value.toFixed(0) : value.toFixed(1))
  const groups = [...new Set(timings.map(({ group }) => group))]
  const rows = groups.flatMap((group) => [
    [stdoutColors.bold(group), '', '', '', ''],
    ...timings
      .filter((timing) => timing.group === group)
      .map(({ name, medianNs, p75Ns, p99Ns, gigabytesPerSecond }) => [
        `  ${name}`,
        stdoutColors.cyan(ns(medianNs)),
        ns(p75Ns),
        ns(p99Ns),
        gigabytesPerSecond === null ? '' : gigabytesPerSecond.toFixed(1),
      ]),
  ])
  return table([['nanoseconds each', 'median', 'p75', 'p99', 'GB/s'], ...rows])
}

async function main(): Promise<void> {
  const program = new Command('npm run bench:micro --')
    .description('Times the pieces of the hot path, each in one thread with nothing else to do.')
    .option('--json', 'print JSON')
    .option('--only <text>', 'only those whose group or name contains this')
    .showHelpAfterError('(see npm run bench:micro -- --help)')
    .exitOverride()
    .parse()
  const { json = !process.stdout.isTTY, only = '' } = program.opts<{ json?: boolean; only?: string }>()
  const chosen = MICROS.filter(({ group, name }) => `${group}: ${name}`.includes(only))
  const progress = createLogUpdate(process.stderr)
  const timings: Timing[] = []
  for (const [index, micro] of chosen.entries()) {
    if (process.stderr.isTTY)
      progress(stderrColors.dim(`${index + 1} of ${chosen.length}: ${micro.group}: ${micro.name}`))
    timings.push(await measure(micro))
  }
  if (PROGRAMS.includes(only)) {
    if (process.stderr.isTTY) progress(stderrColors.dim(PROGRAMS))
    timings.push(...(await measurePrograms()))
  }
  if (process.stderr.isTTY) {
    progress.clear()
    progress.done()
  }
  process.stdout.write(
    `${json ? JSON.stringify({ machine: describeMachine(), timings }, null, 1) : render(timings)}\n`,
  )
}

try {
  await main()
} catch (error) {
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : 2)
  await fail(error)
}
