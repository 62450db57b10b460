/**
 * Runs the tests: `node dist/test/run.js [unit|sim|net|service|attacks]…`; unit, sim and net without an argument. Files
 * that measure time have the machine for themselves; the others run several at a time. Ends with a line
 * `N passed, N failed`.
 */
import { existsSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Tally } from './support/tap-results.js'
import { runFiles } from './support/test-files.js'

const here = fileURLToPath(new URL('.', import.meta.url))
const CORES = availableParallelism()

/** What the hosts of most tests do is wait, so that there may be more of them than cores. */
const SUITES = {
  unit: { jobs: CORES, timeoutSeconds: 120 },
  sim: { jobs: CORES, timeoutSeconds: 120 },
  net: { jobs: CORES + 1, timeoutSeconds: 300 },
  service: { jobs: 1, timeoutSeconds: 600 },
  attacks: { jobs: 1, timeoutSeconds: 300 },
} as const

type Suite = keyof typeof SUITES

/** What `npm test` runs. The others take minutes, and a change of anything else seldom has to do with them. */
const USUAL: readonly Suite[] = ['unit', 'sim', 'net']

/**
 * Files that measure time or throughput, so that whatever else the machine does may have one fail, and those that come
 * first at any core (by their priority), so that they hold up what runs beside them. They run alone. All attacks are
 * among them.
 */
const MEASURES_TIME: ReadonlySet<string> = new Set([
  'unit/control/peer/rows',
  'unit/memory/ring',
  'unit/worker/inbound/gate',
  'net/life/comes-and-goes',
  'net/life/shape',
  'net/life/stop',
  'net/pmtu/loops',
  'net/pmtu/paths',
  'net/private/wg-many',
  'net/timing/start',
  'net/timing/status',
  'net/timing/steady',
  'net/timing/warm-up',
])

/** So many files of hosts may be run once more. */
const FEW = 3

/** Files that wait for long: they begin, so that others run meanwhile. */
const WAITS_LONG: ReadonlySet<string> = new Set([
  'net/life/faults',
  'net/life/metrics',
  'net/life/peers',
  'net/life/status',
  'net/pmtu/mtu-edges',
])

const nameOf = (file: string) => relative(here, file).replace(/\.test\.js$/, '')

function measuresTime(file: string): boolean {
  const name = nameOf(file)
  return name.startsWith('attacks/') || MEASURES_TIME.has(name)
}

/** What failed and why, short: a long log's reader looks at its end. */
function tell(results: ReadonlyMap<string, Tally>, when: string): void {
  const failures = [...results.values()].flatMap((result) => result.failures)
  for (const failure of failures) process.stdout.write(`failed${when}: ${failure}\n`)
}

/** The compiled tests of a suite whose sources are still there: what was moved leaves its old output behind. */
function testsOf(suite: Suite): string[] {
  const folder = join(here, suite)
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => relative(process.cwd(), join(folder, name)))
    .filter((file) => existsSync(file.replace(/^dist\//, '').replace(/\.js$/, '.ts')))
    .sort((a, b) => Number(waitsLong(b)) - Number(waitsLong(a)) || (a < b ? -1 : 1))
}

function waitsLong(file: string): boolean {
  return WAITS_LONG.has(nameOf(file))
}

/**
 * The files of a suite to run once more, alone, because the machine may have made them fail: those that measure time,
 * and those with hosts, if few of them failed. If many did, the program is at fault.
 */
function toRunAgain(suite: Suite, results: ReadonlyMap<string, Tally>): string[] {
  const failed = [...results].filter(([, { failed }]) => failed !== 0).map(([file]) => file)
  const others = failed.filter((file) => !measuresTime(file))
  const mayRepeat = suite === 'net' && others.length <= FEW
  return mayRepeat ? failed : failed.filter(measuresTime)
}

/** Runs a suite. @returns results by file, and the files that were run once more */
async function runSuite(suite: Suite): Promise<{ results: Map<string, Tally>; again: readonly string[] }> {
  const how = SUITES[suite]
  const alone = { ...how, jobs: 1 }
  const files = testsOf(suite)
  const measuring = files.filter(measuresTime)
  const others = files.filter((file) => !measuresTime(file))
  const results = new Map([...(await runFiles(others, how)), ...(await runFiles(measuring, alone))])
  const again = toRunAgain(suite, results)
  if (again.length > 0) {
    tell(results, ' at first')
    for (const [file, result] of await runFiles(again, alone)) results.set(file, result)
  }
  return { results, again }
}

const isSuite = (name: string): name is Suite => Object.hasOwn(SUITES, name)
const named = process.argv.slice(2)
const unknown = named.find((name) => !isSuite(name))
if (unknown !== undefined) {
  process.stderr.write(`"${unknown}" is no suite; name some of ${Object.keys(SUITES).join(', ')}\n`)
  process.exit(2)
}
const suites = named.length > 0 ? named.filter(isSuite) : USUAL
if (suites.some((suite) => suite !== 'unit' && suite !== 'sim') && process.getuid?.() !== 0) {
  process.stderr.write(
    'these tests make network namespaces: run them as root, or "npm run test:unit" without\n',
  )
  process.exit(1)
}
const total = { passed: 0, failed: 0 }
const repeated: string[] = []
for (const suite of suites) {
  const { results, again } = await runSuite(suite)
  tell(results, '')
  repeated.push(...again)
  for (const { passed, failed } of results.values()) {
    total.passed += passed
    total.failed += failed
  }
}
for (const file of repeated) process.stdout.write(`run twice, because it failed at first: ${file}\n`)
process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`)
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1)
