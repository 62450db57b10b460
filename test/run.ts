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

/** The named tests of a TAP 14 stream of files: the results one level (4 spaces) in. */
function tally(tap: string): Tally {
  const results = tap.match(/^ {4}(not )?ok \d+/gm) ?? []
  const failed = results.filter((line) => line.includes('not ')).length
  return { passed: results.length - failed, failed }
}

async function runSuite(suite: Suite): Promise<Tally> {
  const { folder, jobs, timeoutSeconds } = SUITES[suite]
  const files = readdirSync(folder)
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => relative(process.cwd(), join(folder, name)))
  const output = join(tmpdir(), `udptun-fast-${process.pid}-${suite}.tap`)
  const reporter = process.stdout.isTTY ? 'default' : 'terse'
  const { exitCode } = await execa({
    stdio: 'inherit',
    reject: false,
    preferLocal: true,
  })`tap --disable-coverage --reporter=${reporter} --jobs=${jobs} --timeout=${timeoutSeconds} --output-file=${output} ${files}`
  const result = tally(readFileSync(output, 'utf8'))
  // A file that ends badly outside of a test, such as by its time limit, has no failed test to count.
  if (exitCode !== 0 && result.failed === 0) result.failed = 1
  return result
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
