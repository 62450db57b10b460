import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { readResults, type Tally } from './tap-results.js'

/** Where the TAP of each file is kept until its next run: every assertion, comment and time. */
const OUTPUT = '.tap/output'

export interface How {
  /** Files that run at the same time. */
  readonly jobs: number
  /** After which a file, or a test of it, has failed. */
  readonly timeoutSeconds: number
}

/**
 * Runs test files in their order, and says of each how it went.
 *
 * The files are run with node itself. What `tap` loads into each process, and into each program that a test
 * starts, takes a second of a core.
 */
export async function runFiles(files: readonly string[], how: How): Promise<Map<string, Tally>> {
  const results = new Map<string, Tally>()
  const queue = [...files]
  const next = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift())
      results.set(file, await runFile(file, how.timeoutSeconds))
  }
  await Promise.all(Array.from({ length: how.jobs }, next))
  return results
}

async function runFile(file: string, timeoutSeconds: number): Promise<Tally> {
  const startedMs = performance.now()
  const { stdout, stderr, failed } = await execa({
    reject: false,
    stdin: 'ignore',
    // The file itself ends first, and says which of its tests hangs.
    timeout: (timeoutSeconds + 10) * 1_000,
    maxBuffer: Number.POSITIVE_INFINITY,
    // What a test reads is text without colours, whatever the surroundings ask for.
    env: { TAP_TIMEOUT: String(timeoutSeconds), NO_COLOR: '1', FORCE_COLOR: undefined },
  })`${process.execPath} --enable-source-maps ${file}`
  const seconds = (performance.now() - startedMs) / 1_000
  const tally = readResults(file, stdout, !failed)
  const output = join(OUTPUT, `${file}.tap`)
  mkdirSync(dirname(output), { recursive: true })
  writeFileSync(output, `${stdout}\n`)
  const how = tally.failed === 0 ? 'ok' : 'not ok'
  process.stdout.write(
    `${how} ${file}: ${tally.passed} of ${tally.passed + tally.failed}, ${seconds.toFixed(1)} s\n`,
  )
  process.stderr.write(stderr === '' ? '' : `${stderr}\n`)
  return tally
}
