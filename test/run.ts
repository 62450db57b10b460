/**
 * Runs the tests: `node dist/test/run.js [unit|net]`, both without an argument. Those that need hosts run
 * one file at a time: they share the cores and measure time. Ends with a line `N passed, N failed`.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { readResults, type Tally } from './tap-results.js'

const here = fileURLToPath(new URL('.', import.meta.url))

const SUITES = {
  unit: { folder: here, jobs: 2, timeoutSeconds: 120 },
  net: { folder: join(here, 'net'), jobs: 1, timeoutSeconds: 300 },
} as const

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

/**
 * Runs a suite. A file that measures time on hosts may fail because of what else the machine does: it is run
 * once more by itself, and said to have been.
 */
async function runSuite(suite: Suite): Promise<Map<string, Tally>> {
  const { folder } = SUITES[suite]
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => relative(process.cwd(), join(folder, name)))
  const results = await runFiles(suite, files, suite)
  const again = suite === 'net' ? files.filter((file) => results.get(file)?.failed !== 0) : []
  if (again.length > 0) {
    tell(results, ', and run once more')
    for (const [file, result] of await runFiles(suite, again, `${suite}-again`)) results.set(file, result)
  }
  return results
}

const suites = process.argv.length > 2 ? (process.argv.slice(2) as Suite[]) : (Object.keys(SUITES) as Suite[])
if (suites.includes('net') && process.getuid?.() !== 0) {
  process.stderr.write(
    'the net tests make network namespaces: run them as root, or "npm run test:unit" without\n',
  )
  process.exit(1)
}
const total = { passed: 0, failed: 0 }
for (const suite of suites) {
  const results = await runSuite(suite)
  tell(results, '')
  for (const { passed, failed } of results.values()) {
    total.passed += passed
    total.failed += failed
  }
}
process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`)
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1)
