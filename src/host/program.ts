import { execFile, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

/** Where programs for administrators are, in case the environment does not say so. */
const SYSTEM_PATH = '/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin'

/** A program that does not end is of no use. */
const WITHIN_MS = 10_000

/** What it leaves running may keep its output open. So what comes later is not waited for. */
const REST_WITHIN_MS = 250

/** How a program of the system has ended. */
export interface Ended {
  readonly ok: boolean
  /** The last line of what it has said. */
  readonly said: string
  /** All lines, if it has said any although it has ended well. */
  readonly warned: string | undefined
}

/**
 * Runs a program of the system, in the network namespace of the calling thread.
 * @param input what it reads
 * @returns undefined if there is no such program
 */
export function runProgram(name: string, args: readonly string[], input = ''): Promise<Ended | undefined> {
  const child = spawn(name, args, {
    env: environment(),
    stdio: ['pipe', 'ignore', 'pipe'],
    timeout: WITHIN_MS,
    killSignal: 'SIGKILL',
  })
  let said = ''
  child.stderr.on('data', (chunk) => {
    said = `${said}${chunk}`.slice(-4096)
  })
  // It may end before it has read all.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  return new Promise((resolve) => {
    child.once('error', () => resolve(undefined))
    const closed = new Promise((done) => child.stderr.once('close', done))
    child.once('exit', async (code, signal) => {
      await Promise.race([closed, sleep(REST_WITHIN_MS)])
      child.stderr.destroy()
      const lines = said.trim().split('\n').filter(Boolean)
      const ok = code === 0
      resolve({
        ok,
        said: lines.at(-1) ?? `it ended with ${signal ?? code}`,
        warned: ok && lines.length > 0 ? lines.join('; ') : undefined,
      })
    })
  })
}

/** What a program of the system has printed, or why there is nothing. */
export type Printed = { readonly text: string } | { readonly why: string }

/** No program that is asked prints more. */
const MAX_PRINTED_BYTES = 64 * 1024 * 1024

/** Runs a program of the system in this network namespace, for what it prints. */
export function printedBy(name: string, args: readonly string[]): Promise<Printed> {
  const options = { env: environment(), timeout: WITHIN_MS, maxBuffer: MAX_PRINTED_BYTES }
  return new Promise((resolve) => {
    execFile(name, args, options, (error, stdout, stderr) => {
      if (error === null) resolve({ text: stdout })
      else if (error.code === 'ENOENT') resolve({ why: `there is no program ${name}` })
      else resolve({ why: `${name} says: ${stderr.trim().split('\n').at(-1) || error.message}` })
    })
  })
}

function environment(): NodeJS.ProcessEnv {
  const { PATH = '' } = process.env
  return { ...process.env, PATH: PATH === '' ? SYSTEM_PATH : `${PATH}:${SYSTEM_PATH}`, LC_ALL: 'C' }
}
