import { constants } from 'node:os'
import { join } from 'node:path'
import { CommanderError } from 'commander'
import { fail } from '../../src/cli/fail.js'
import { duration } from '../../src/cli/table.js'
import { UserError } from '../../src/errors.js'
import { signalOnParentDeath } from '../../src/linux/process.js'
import { compare } from './compare.js'
import { chooseGenerator } from './generators/index.js'
import { Lab } from './lab.js'
import { describeMachine } from './machine.js'
import { type Options, parseOptions } from './options.js'
import type { Peer } from './peers/peer.js'
import { type Plan, steps } from './plan.js'
import { needProgram } from './processes.js'
import { Progress } from './progress.js'
import { comparisonReport } from './report/comparison.js'
import { terminalReport } from './report/terminal.js'
import { writeReport } from './report/write.js'
import { RESULTS_VERSION, type Results } from './results.js'
import { run } from './run.js'

/** The person or the system ended the run. */
class Stopped extends Error {
  /** As shells have it: 128 and the signal's number. */
  readonly exitCode: number

  constructor(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP') {
    super(`stopped by ${signal}; no report was written`)
    this.exitCode = 128 + constants.signals[signal]
  }
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : 2)
  if (!(error instanceof Stopped)) fail(error)
  process.stderr.write(`${error.message}\n`)
  process.exit(error.exitCode)
}

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args)
  const { before, after } = options
  const results = after ?? (await benchmark(options, args))
  if (before === undefined) {
    process.stdout.write(options.json ? `${JSON.stringify(results)}\n` : `${terminalReport(results)}\n`)
    return results.samples.length === 0 ? 1 : 0
  }
  const comparison = compare(before, results)
  process.stdout.write(options.json ? `${JSON.stringify(comparison)}\n` : `${comparisonReport(comparison)}\n`)
  return comparison.regressions === 0 ? 0 : 1
}

async function benchmark(options: Options, args: readonly string[]): Promise<Results> {
  if (process.getuid?.() !== 0) {
    throw new UserError('the benchmark makes network namespaces and needs root; run it with sudo')
  }
  needProgram('ip', 'iproute2')
  needProgram('ping', 'iputils-ping')
  needProgram('ethtool', 'ethtool')
  const signal = abortOnSignals()
  try {
    const { results, folder } = await measure(options, args, signal)
    await writeReport(results, folder)
    process.stderr.write(`Report: ${join(folder, 'report.html')}\n`)
    return results
  } catch (error) {
    signal.throwIfAborted()
    throw error
  }
}

async function measure(
  options: Options,
  args: readonly string[],
  signal: AbortSignal,
): Promise<{ results: Results; folder: string }> {
  const { plan, skipped, versions } = await thoseAvailable(options.plan)
  const generator = await chooseGenerator(options.generator)
  const machine = describeMachine()
  const startedAt = new Date().toISOString()
  const all = steps(plan)
  const estimate = all.reduce((sum, { estimateSeconds }) => sum + estimateSeconds, 0)
  process.stderr.write(`${all.length} tunnels to start and measure, about ${duration(estimate)}.\n`)

  const underlays = []
  for (const spec of plan.underlays) {
    await using lab = await Lab.create(spec, signal)
    const { name, title, mtuBytes, rate = null } = spec
    underlays.push({ name, title, mtuBytes, rate, offloadsOn: await lab.offloads(lab.near.host) })
  }
  using progress = new Progress(all)
  const measurements = await run(plan, generator, progress, signal)
  return {
    folder: options.out ?? join('bench', 'results', startedAt.slice(0, 19).replaceAll(':', '-')),
    results: {
      format: 'udptun-fast bench',
      version: RESULTS_VERSION,
      startedAt,
      finishedAt: new Date().toISOString(),
      command: ['npm run bench', ...(args.length > 0 ? ['--', ...args] : [])].join(' '),
      machine,
      generator: { name: generator.name, version: generator.version },
      rounds: plan.rounds,
      seconds: plan.seconds,
      underlays,
      peers: plan.peers.map(({ name, title, encrypts }) => ({
        name,
        title,
        encrypts,
        version: versions.get(name) ?? '',
      })),
      skipped,
      loads: plan.loads.map(({ name, title, metric }) => ({ name, title, metric })),
      ...measurements,
    },
  }
}

/** Aborts when the person or the system ends the run; a second signal ends it at once. */
function abortOnSignals(): AbortSignal {
  if (process.env.npm_lifecycle_event === 'bench') signalOnParentDeath(constants.signals.SIGTERM)
  const abort = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      const stopped = new Stopped(name)
      if (abort.signal.aborted) process.exit(stopped.exitCode)
      abort.abort(stopped)
    })
  }
  return abort.signal
}

async function thoseAvailable(plan: Plan): Promise<{
  plan: Plan
  skipped: Results['skipped']
  versions: Map<string, string>
}> {
  const peers: Peer[] = []
  const skipped: Results['skipped'] = []
  const versions = new Map<string, string>()
  for (const peer of plan.peers) {
    const found = await peer.available()
    if ('version' in found) {
      peers.push(peer)
      versions.set(peer.name, found.version)
    } else {
      skipped.push({ name: peer.name, title: peer.title, reason: found.reason })
      process.stderr.write(`${peer.title} is left out: ${found.reason}.\n`)
    }
  }
  if (peers.length === 0) throw new UserError('none of the peers asked for is available')
  return { plan: { ...plan, peers }, skipped, versions }
}
