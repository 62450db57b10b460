import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { readResults, type Tally } from './tap-results.js'

/** Where the TAP of each file is kept until its next run: every assertion, comment and time. */
const OUTPUT = '.tap/output'

/**
 * What a file needs of the machine. One that computes keeps a core busy. One with hosts waits most of the time, so that
 * there may be more of them than cores. One that measures time runs alone.
 */
export type Need = 'waits' | 'computes' | 'alone'

export interface TestFile {
  readonly file: string
  readonly need: Need
  /** After which the file, or a test of it, has failed. */
  readonly timeoutSeconds: number
}

/** Whether a file may start beside those that run. A file that computes fills the gaps of those that wait. */
export function mayStart(need: Need, running: Readonly<Record<Need, number>>, cores: number): boolean {
  const { waits, computes, alone } = running
  if (alone > 0) return false
  if (need === 'alone') return waits + computes === 0
  return need === 'waits' ? waits < cores + 2 : computes < (waits > 0 ? 1 : cores)
}

/**
 * Runs test files, and says of each how it went. The first one in the list that may start is the next one.
 *
 * The files are run with node itself. What `tap` loads into each process, and into each program that a test
 * starts, takes a second of a core.
 */
export async function runFiles(files: readonly TestFile[], cores: number): Promise<Map<string, Tally>> {
  const results = new Map<string, Tally>()
  const queue = [...files]
  const running = { waits: 0, computes: 0, alone: 0 }
  const startNext = async (): Promise<void> => {
    const index = queue.findIndex(({ need }) => mayStart(need, running, cores))
    if (index === -1) return
    const [test] = queue.splice(index, 1)
    const { file, need } = test
    running[need]++
    const others = startNext()
    results.set(file, await runFile(test))
    running[need]--
    await Promise.all([others, startNext()])
  }
  await startNext()
  return results
}

/** Runs a file without source maps, which cost it a tenth of its time. Its failures are translated afterwards. */
async function runFile({ file, timeoutSeconds }: TestFile): Promise<Tally> {
  const startedMs = performance.now()
  const running = execa({
    reject: false,
    stdin: 'ignore',
    // The file itself ends first, and says which of its tests hangs.
    timeout: (timeoutSeconds + 10) * 1_000,
    maxBuffer: Number.POSITIVE_INFINITY,
    // What a test reads is text without colours, whatever the surroundings ask for.
    env: { TAP_TIMEOUT: String(timeoutSeconds), NO_COLOR: '1', FORCE_COLOR: undefined },
  })`${process.execPath} ${file}`
  let usedSeconds = 0
  running.once('exit', () => {
    usedSeconds = newProcessorSeconds()
  })
  const { stdout, stderr, failed } = await running
  const seconds = (performance.now() - startedMs) / 1_000
  const tally = readResults(file, stdout, !failed)
  const output = join(OUTPUT, `${file}.tap`)
  mkdirSync(dirname(output), { recursive: true })
  writeFileSync(output, `${stdout}\n`)
  const how = tally.failed === 0 ? 'ok' : 'not ok'
  process.stdout.write(
    `${how} ${file}: ${tally.passed} of ${tally.passed + tally.failed}, ${seconds.toFixed(1)} s, ${usedSeconds.toFixed(1)} s of a processor\n`,
  )
  process.stderr.write(stderr === '' ? '' : `${stderr}\n`)
  return tally
}

/** Of proc(5): `utime` and the like have this many units a second on every Linux. */
const TICKS_PER_SECOND = 100
let countedTicks = 0

/** What the children that have ended since the last call have used, together with the children that they waited for. */
function newProcessorSeconds(): number {
  const [cutime, cstime] = readFileSync('/proc/self/stat', 'utf8')
    .split(') ')[1]
    .split(' ')
    .slice(13, 15)
    .map(Number)
  const ticks = cutime + cstime - countedTicks
  countedTicks += ticks
  return ticks / TICKS_PER_SECOND
}
