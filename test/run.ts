/**
 * Runs the tests: `node dist/test/run.js [unit|net]`, both without an argument. Those that need hosts run
 * one file at a time: they share the cores and measure time. Ends with a line `N passed, N failed`.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'

const here = fileURLToPath(new URL('.', import.meta.url))

const SUITES = {
  unit: { folder: here, jobs: 2, timeoutSeconds: 120 },
  net: { folder: join(here, 'net'), jobs: 1, timeoutSeconds: 300 },
} as const

type Suite = keyof typeof SUITES

interface Tally {
  passed: number
  failed: number
}

/** The named tests of each file in a TAP 14 stream: the results one level (4 spaces) in. */
function tally(tap: string): Map<string, Tally> {
  const files = new Map<string, Tally>()
  let file: Tally = { passed: 0, failed: 0 }
  for (const line of tap.split('\n')) {
    const begins = /^# Subtest: (\S+)$/.exec(line)
    if (begins !== null) {
      file = { passed: 0, failed: 0 }
      files.set(begins[1], file)
    } else if (/^ {4}ok \d/.test(line)) file.passed++
    else if (/^ {4}not ok \d/.test(line)) file.failed++
    // A file that ends badly outside of a test, such as by its time limit, has no failed test to count.
    else if (/^not ok /.test(line) && file.failed === 0) file.failed = 1
  }
  return files
}

async function runFiles(suite: Suite, files: readonly string[], name: string): Promise<Map<string, Tally>> {
  const { jobs, timeoutSeconds } = SUITES[suite]
  const output = join(tmpdir(), `udptun-fast-${process.pid}-${name}.tap`)
  const reporter = process.stdout.isTTY ? 'default' : 'terse'
  const { exitCode } = await execa({
    stdio: 'inherit',
    reject: false,
    preferLocal: true,
  })`tap --disable-coverage --reporter=${reporter} --jobs=${jobs} --timeout=${timeoutSeconds} --output-file=${output} ${files}`
  const results = tally(readFileSync(output, 'utf8'))
  if (exitCode !== 0 && ![...results.values()].some(({ failed }) => failed > 0))
    results.set('the run', { passed: 0, failed: 1 })
  return results
}

/**
 * Runs a suite. A file that measures time on hosts may fail because of what else the machine does: it is run
 * once more by itself, and said to have been.
 */
async function runSuite(suite: Suite): Promise<Tally> {
  const { folder } = SUITES[suite]
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => relative(process.cwd(), join(folder, name)))
  const results = await runFiles(suite, files, suite)
  const again = suite === 'net' ? files.filter((file) => (results.get(file)?.failed ?? 1) > 0) : []
  if (again.length > 0) {
    process.stdout.write(`failed, and run once more: ${again.join(', ')}\n`)
    for (const [file, result] of await runFiles(suite, again, `${suite}-again`)) results.set(file, result)
  }
  const sum = (key: keyof Tally) => [...results.values()].reduce((total, result) => total + result[key], 0)
  return { passed: sum('passed'), failed: sum('failed') }
}

const suites = process.argv.length > 2 ? (process.argv.slice(2) as Suite[]) : (Object.keys(SUITES) as Suite[])
if (suites.includes('net') && process.getuid?.() !== 0) {
  process.stderr.write(
    'the net tests make network namespaces: run them as root, or "npm run test:unit" without\n',
  )
  process.exit(1)
}
const total: Tally = { passed: 0, failed: 0 }
for (const suite of suites) {
  const { passed, failed } = await runSuite(suite)
  total.passed += passed
  total.failed += failed
}
process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`)
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1)
