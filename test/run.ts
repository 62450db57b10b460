/**
 * Runs the tests: `node dist/test/run.js [unit|sim|net|nat|wg|docs|service|attacks]…`; unit, sim and net without an argument.
 * Files that measure time have the machine for themselves; the others run several at a time. Ends with a line
 * `N passed, N failed`.
 */
import { existsSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import './support/bundle-tap.js'
import type { Tally } from './support/tap-results.js'
import { type Need, runFiles, type TestFile } from './support/test-files.js'

const here = fileURLToPath(new URL('.', import.meta.url))
const CORES = availableParallelism()

const ORDER: readonly Need[] = ['waits', 'computes', 'alone']

const SUITES = {
  net: { need: 'waits', timeoutSeconds: 300 },
  unit: { need: 'computes', timeoutSeconds: 300 },
  sim: { need: 'computes', timeoutSeconds: 600 },
  nat: { need: 'waits', timeoutSeconds: 600 },
  wg: { need: 'waits', timeoutSeconds: 300 },
  docs: { need: 'waits', timeoutSeconds: 300 },
  service: { need: 'waits', timeoutSeconds: 600 },
  attacks: { need: 'alone', timeoutSeconds: 300 },
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
  'net/switch/bridge',
  'wg/wg-many',
  'net/timing/fleet',
  'net/timing/start',
  'net/timing/status',
  'net/timing/steady',
  'net/timing/warm-up',
])

/** So many files of hosts may be run once more. */
const FEW = 3

/** Files that wait for long: they begin, so that others run meanwhile. */
const WAITS_LONG: ReadonlySet<string> = new Set([
  'service/container',
  'nat/forgets',
  'nat/pairs',
  'net/private/closed',
  'net/private/relay',
  'net/private/candidates',
  'net/datapath/bypassed',
  'net/private/kept-secret',
  'net/life/log',
  'wg/wg',
  'net/private/join-killed',
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
function testsOf(suite: Suite): TestFile[] {
  const { need, timeoutSeconds } = SUITES[suite]
  const folder = join(here, suite)
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => relative(process.cwd(), join(folder, name)))
    .filter((file) => existsSync(file.replace(/^dist\//, '').replace(/\.js$/, '.ts')))
    .sort((a, b) => Number(waitsLong(b)) - Number(waitsLong(a)) || (a < b ? -1 : 1))
    .map((file) => ({ file, timeoutSeconds, need: measuresTime(file) ? 'alone' : need }))
}

function waitsLong(file: string): boolean {
  return WAITS_LONG.has(nameOf(file))
}

/**
 * The files to run once more, alone, because the machine may have made them fail: those that measure time, and those
 * with hosts, if few of them failed. If many did, the program is at fault.
 */
function toRunAgain(files: readonly TestFile[], results: ReadonlyMap<string, Tally>): TestFile[] {
  const failed = files.filter(({ file }) => results.get(file)?.failed !== 0)
  const withHosts = failed.filter(({ need }) => need === 'waits')
  const again = failed.filter(
    ({ file, need }) => measuresTime(file) || (need === 'waits' && withHosts.length <= FEW),
  )
  return again.map((file) => ({ ...file, need: 'alone' }))
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
// Those that run alone come last. What waits comes before what computes, which fills its gaps.
const files = suites.flatMap(testsOf).sort((a, b) => ORDER.indexOf(a.need) - ORDER.indexOf(b.need))
const results = await runFiles(files, CORES)
const again = toRunAgain(files, results)
if (again.length > 0) {
  tell(results, ' at first')
  for (const [file, result] of await runFiles(again, CORES)) results.set(file, result)
}
tell(results, '')
const tallies = [...results.values()]
const sum = (of: keyof Pick<Tally, 'passed' | 'failed'>) => tallies.reduce((all, tally) => all + tally[of], 0)
for (const { file } of again) process.stdout.write(`run twice, because it failed at first: ${file}\n`)
process.stdout.write(`${sum('passed')} passed, ${sum('failed')} failed\n`)
process.exit(sum('failed') === 0 && sum('passed') > 0 ? 0 : 1)
