import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { duration } from '../../src/cli/table.js'
import { UserError } from '../../src/errors.js'
import { chooseGenerator } from './generators/index.js'
import { Lab } from './lab.js'
import { describeMachine } from './machine.js'
import type { Options } from './options.js'
import type { Peer } from './peers/peer.js'
import { type Plan, steps } from './plan.js'
import { needProgram } from './processes.js'
import { Progress } from './progress.js'
import { writeReport } from './report/write.js'
import { RESULTS_VERSION, type Results } from './results.js'
import { run } from './run.js'
import { abortOnSignals } from './stop.js'

/**
 * Measures according to the options and writes the report. It shows the progress on standard error.
 * @param args the command line, so that a reader can repeat it
 * @throws UserError, or `Stopped` after a signal; nothing is left behind then
 */
export async function benchmark(options: Options, args: readonly string[]): Promise<Results> {
  if (process.getuid?.() !== 0) {
    throw new UserError('the benchmark makes network namespaces and needs root; run it with sudo')
  }
  needProgram('ip', 'iproute2')
  needProgram('ping', 'iputils-ping')
  needProgram('ethtool', 'ethtool')
  if (options.plan.underlays.some(({ rate }) => rate !== undefined)) needProgram('tc', 'iproute2')
  const signal = abortOnSignals()
  useOwnTemporaryFolder()
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

/**
 * For all files that are written on the way, also by the programs. The folder is removed when this process
 * ends.
 */
function useOwnTemporaryFolder(): void {
  const folder = mkdtempSync(join(tmpdir(), 'udptun-bench-'))
  process.env.TMPDIR = folder
  process.env.STATE_DIRECTORY = folder
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
}

/** Everything except the report: the results, and the folder for them. */
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

/** The plan without the peers that are not available, and why they are not; the versions of the others. */
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
