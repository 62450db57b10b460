/**
 * For `node --import`: the process kills itself at a step of what it writes. `KILL_AT` is a number and `before` or `after`,
 * such as `3 before`; `KILL_PATH` is a part of the paths that count. Without `KILL_AT` it prints the steps.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const [at = '', when = ''] = (process.env.KILL_AT ?? '').split(' ')
const part = process.env.KILL_PATH ?? ''
const BY_PATH = ['mkdirSync', 'openSync', 'renameSync', 'linkSync'] as const
const BY_FD = ['writeFileSync', 'writeSync', 'fsyncSync', 'closeSync'] as const

const fds = new Set<unknown>()
let step = 0

function die(): void {
  process.kill(process.pid, 'SIGKILL')
  // The signal may come a moment later.
  for (;;);
}

function wrap(name: (typeof BY_PATH)[number] | (typeof BY_FD)[number], isByPath: boolean): void {
  const functions = fs as unknown as Record<string, (...args: unknown[]) => unknown>
  const real = functions[name]
  functions[name] = (...args: unknown[]) => {
    const counts = isByPath ? String(args[0]).includes(part) && isWrite(name, args) : fds.has(args[0])
    if (!counts) return real(...args)
    step++
    if (step === Number(at) && when === 'before') die()
    const result = real(...args)
    if (name === 'openSync') fds.add(result)
    if (name === 'closeSync') fds.delete(args[0])
    if (step === Number(at) && when === 'after') die()
    if (at === '') process.stderr.write(`step ${step}: ${name}\n`)
    return result
  }
}

/** A directory is opened to be synchronised. */
function isWrite(name: string, args: readonly unknown[]): boolean {
  return name !== 'openSync' || args[1] !== 'r' || fs.statSync(String(args[0])).isDirectory()
}

for (const name of BY_PATH) wrap(name, true)
for (const name of BY_FD) wrap(name, false)
syncBuiltinESMExports()
