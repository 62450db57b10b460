/**
 * Runs the tests: `node dist/test/run.js [unit|sim|net]…`, all of them without an argument. Those that need hosts run
 * one file at a time, because they share the cores and measure time. Ends with a line `N passed, N failed`.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { readResults, type Tally } from './support/tap-results.js'

const here = fileURLToPath(new URL('.', import.meta.url))

const SUITES = {
  unit: { folder: join(here, 'unit'), jobs: 2, timeoutSeconds: 120 },
  sim: { folder: join(here, 'sim'), jobs: 2, timeoutSeconds: 120 },
  net: { folder: join(here, 'net'), jobs: 1, timeoutSeconds: 300 },
} as const

/**
 * Files that measure time, so that whatever else the machine does may have one fail. Only these are run once more, by
 * themselves, and the closing lines say which.
 */
const MEASURES_TIME: ReadonlySet<string> = new Set([
  'life/bench',
  'life/comes-and-goes',
  'life/control',
  'life/demo',
  'life/peers',
  'life/shape',
  'life/start',
  'life/status',
  'life/stop',
  'memory/ring',
  'pmtu/bridge',
  'pmtu/command',
  'pmtu/filtered',
  'pmtu/forged',
  'pmtu/icmp-flood',
  'pmtu/ipv6',
  'pmtu/mtu-edges',
  'pmtu/narrowing',
  'pmtu/paths',
  'pmtu/whole',
  'private/floods',
  'private/handshake-flood',
  'private/paths',
  'private/private',
  'private/roaming',
  'private/suspend',
  'private/wireguard',
  'switch/flooder',
  'switch/mesh',
  'switch/twenty',
  'timing/steady',
  'timing/warm-up',
  'wire/foreign',
])

type Suite = keyof typeof SUITES

async function runFiles(suite: Suite, files: readonly string[], name: string): Promise<Map<string, Tally>> {
  const { jobs, timeoutSeconds } = SUITES[suite]
  const output = join(tmpdir(), `udptun-fast-${process.pid}-${name}.tap`)
  const reporter = process.stdout.isTTY ? 'default' : 'terse'
  const { exitCode } = await execa({
    stdio: 'inherit',
    reject: false,
    preferLocal: true,
  })`tap --disable-coverage --reporter=${reporter} --jobs=${jobs} --timeout=${timeoutSeconds} --output-file=${output} ${files}`
  const found = readResults(readFileSync(output, 'utf8'))
  const results = new Map(files.map((file) => [file, found.get(file) ?? failure(`${file} was not run`)]))
  if (exitCode !== 0 && ![...results.values()].some(({ failed }) => failed > 0))
    results.set('the run', failure(`tap ended with ${exitCode}`))
  return results
}

function failure(what: string): Tally {
  return { passed: 0, failed: 1, failures: [what] }
}

/** What failed and why, short: a long log's reader looks at its end. */
function tell(results: ReadonlyMap<string, Tally>, when: string): void {
  const failures = [...results.values()].flatMap((result) => result.failures)
  for (const failure of failures) process.stdout.write(`failed${when}: ${failure}\n`)
}

/** The compiled tests of a folder whose sources are still there: what was moved leaves its old output behind. */
function testsIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => relative(process.cwd(), join(folder, name)))
    .filter((file) => existsSync(file.replace(/^dist\//, '').replace(/\.js$/, '.ts')))
    .sort()
}

/** Runs a suite. @returns results by file, and the files that were run once more */
async function runSuite(suite: Suite): Promise<{ results: Map<string, Tally>; again: readonly string[] }> {
  const { folder } = SUITES[suite]
  const files = testsIn(folder)
  const results = await runFiles(suite, files, suite)
  const measuresTime = (file: string) => MEASURES_TIME.has(relative(folder, file).replace(/\.test\.js$/, ''))
  const again = files.filter((file) => results.get(file)?.failed !== 0 && measuresTime(file))
  if (again.length > 0) {
    tell(results, ', and run once more if it measures time')
    for (const [file, result] of await runFiles(suite, again, `${suite}-again`)) results.set(file, result)
  }
  return { results, again }
}

const suites = process.argv.length > 2 ? (process.argv.slice(2) as Suite[]) : (Object.keys(SUITES) as Suite[])
if (suites.includes('net') && process.getuid?.() !== 0) {
  process.stderr.write(
    'the net tests make network namespaces: run them as root, or "npm run test:unit" without\n',
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
for (const file of repeated) process.stdout.write(`run twice, because it measures time: ${file}\n`)
process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`)
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1)
