/**
 * Runs tests with another C library and on another processor: `npm run test:others -- [musl|arm64]…`; both without
 * arguments. Writes what came of them into RESULTS.md, in the place of what was there of the same machine.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { runInGuest } from './guest.js'
import { MACHINES, type MachineName, merge, pageOf, type Row, rowsOf } from './results.js'

const RESULTS = 'test/others/RESULTS.md'

/** Where fetch.sh puts what is needed. */
const FOLDER = '/var/cache/udptun-fast-tests'

const SUITE = 'dist/test/others/suite.js'

const LIMIT_S = 5_400

/** What suite.ts and the checks print. */
interface Line extends Readonly<Partial<Record<'kernel' | 'node' | 'libc' | 'arch' | 'crypto', string>>> {
  readonly title?: string
  readonly outcome?: string
  readonly seen?: string
  readonly seconds?: number
  readonly end?: boolean
}

const isMachine = (name: string): name is MachineName => MACHINES.some((it) => it === name)

function fail(message: string, code: number): never {
  process.stderr.write(`${message}\n`)
  process.exit(code)
}

async function withMusl(args: readonly string[], onLine: (line: string) => void): Promise<void> {
  const node = spawn(`${FOLDER}/musl/node`, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  createInterface(node.stdout).on('line', onLine)
  await once(node, 'close')
}

/** All that `npm test` runs. It takes as long as with glibc, so an emulated machine is spared it. */
async function testWithMusl(onLine: (line: string) => void): Promise<void> {
  const startedMs = performance.now()
  let last = ''
  await withMusl(['dist/test/run.js'], (line) => {
    last = line
    if (!line.startsWith('ok ')) process.stdout.write(`musl: ${line}\n`)
  })
  const outcome = /^\d+ passed, 0 failed$/.test(last) ? 'passed' : 'failed'
  const seconds = (performance.now() - startedMs) / 1_000
  onLine(JSON.stringify({ title: 'npm test', outcome, seen: last, seconds }))
}

async function runWithMusl(onLine: (line: string) => void): Promise<string> {
  await withMusl(['--enable-source-maps', SUITE], onLine)
  await testWithMusl(onLine)
  return ''
}

/** @returns whether all went well */
async function runOn(machine: MachineName): Promise<boolean> {
  const date = new Date().toISOString().slice(0, 10)
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  const rows: Row[] = []
  let isWhole = false
  const add = (what: string, outcome: string, seen: string, seconds?: number) => {
    rows.push({ machine, what, outcome, seen, seconds: seconds?.toFixed(1) ?? '', date })
    process.stdout.write(`${machine}: ${what}: ${outcome}: ${seen}\n`)
  }
  const onLine = (text: string) => {
    const { title, outcome, seen, seconds, end, kernel, node, libc, arch, crypto } = JSON.parse(text) as Line
    if (end === true) isWhole = true
    else if (kernel !== undefined)
      add(
        'machine',
        '',
        `udptun-fast at commit ${commit}, Node.js ${node}, ${arch}, ${libc}, Linux ${kernel}, ${crypto}`,
      )
    else if (title !== undefined) add(title, outcome ?? '', seen ?? '', seconds)
    // A run takes long, and may be broken off.
    const old = existsSync(RESULTS) ? rowsOf(readFileSync(RESULTS, 'utf8')) : []
    writeFileSync(RESULTS, pageOf(merge(old, rows)))
  }
  const console =
    machine === 'musl'
      ? await runWithMusl(onLine)
      : await runInGuest(`${FOLDER}/arm64`, [SUITE], LIMIT_S, onLine)
  const failed = rows.filter(({ outcome }) => outcome === 'failed').length
  const isGood = isWhole && failed === 0
  if (!isGood) process.stdout.write(`${console.slice(-20_000)}\n`)
  process.stdout.write(
    `${machine}: ${rows.length - 1 - failed} passed, ${failed} failed${isWhole ? '' : ', broken off'}\n`,
  )
  return isGood
}

const named = process.argv.slice(2)
const unknown = named.find((name) => !isMachine(name))
if (unknown !== undefined) fail(`"${unknown}" is no machine (${MACHINES.join(', ')})`, 2)
if (process.getuid?.() !== 0) fail('the tests make network namespaces: run this as root', 1)
const results: boolean[] = []
for (const machine of MACHINES.filter((name) => named.length === 0 || named.includes(name))) {
  if (!existsSync(`${FOLDER}/${machine}/ready`))
    fail(`what it takes for ${machine} is not here; run "sh test/others/fetch.sh ${machine}" first`, 1)
  results.push(await runOn(machine))
}
process.exit(results.every(Boolean) ? 0 : 1)
