/**
 * Runs checks under other kernels: `npm run test:kernels -- [kernel|check]…`; all of both without arguments. Writes what
 * came of them into RESULTS.md, in the place of what was there of the same kernels and checks.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { boot } from './boot.js'
import { CHECKS } from './checks.js'
import { findKernel, KERNELS, type Kernel, type KernelName } from './kernels.js'
import { Reader } from './reader.js'
import { merge, pageOf, type Row, rowsOf } from './results.js'

const RESULTS = 'test/kernels/RESULTS.md'

/** Of a file of checks, each of which has a limit of its own. */
const LIMIT_S = 1_800

const isKernel = (name: string): name is KernelName => KERNELS.some((it) => it === name)

function versions(): string {
  const [qemu] = execFileSync('qemu-system-x86_64', ['--version'], { encoding: 'utf8' }).split('\n')
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  return `udptun-fast at commit ${commit}, Node.js ${process.version}, and ${qemu}`
}

function fail(message: string, code: number): never {
  process.stderr.write(`${message}\n`)
  process.exit(code)
}

/**
 * Puts rows into the page at once: a run takes long, and may be broken off.
 * @param unfinished as in {@link merge}
 */
function save(rows: readonly Row[], unfinished?: string): void {
  const old = existsSync(RESULTS) ? rowsOf(readFileSync(RESULTS, 'utf8')) : []
  writeFileSync(RESULTS, pageOf(merge(old, rows, CHECKS, unfinished), versions()))
}

async function runOn(kernel: Kernel, checks: readonly string[]): Promise<boolean> {
  const date = new Date().toISOString().slice(0, 10)
  const reader = new Reader(kernel, date, (line) => process.stdout.write(`${kernel.name}: ${line}\n`))
  const onLine = (line: string) => {
    if (reader.take(line)) save(reader.rows, reader.unfinished)
  }
  const consoleText = await boot({ kernel, checks, limitS: LIMIT_S, onLine })
  const rows = reader.end(checks)
  save(rows)
  const isGood = rows.every(({ outcome }) => outcome !== 'failed')
  if (!isGood) process.stdout.write(`${consoleText.slice(-20_000)}\n`)
  const passed = rows.filter(({ outcome }) => outcome === 'passed').length
  process.stdout.write(`${kernel.name}: ${passed} of ${rows.length} checks passed\n`)
  return isGood
}

const named = process.argv.slice(2)
const unknown = named.find((name) => !isKernel(name) && !CHECKS.includes(name))
if (unknown !== undefined)
  fail(`"${unknown}" is no kernel (${KERNELS.join(', ')}) and no check (${CHECKS.join(', ')})`, 2)
if (process.getuid?.() !== 0) fail('the guests need the files of root: run this as root', 1)
const some = named.filter(isKernel)
const checks = CHECKS.filter((name) => named.includes(name))
const results: boolean[] = []
for (const name of some.length > 0 ? some : KERNELS) {
  const kernel = findKernel(name)
  if (kernel === undefined)
    fail(`there is no kernel ${name}; run "sh test/install-tools.sh kernels" first`, 1)
  results.push(await runOn(kernel, checks.length > 0 ? checks : CHECKS))
}
process.exit(results.every(Boolean) ? 0 : 1)
