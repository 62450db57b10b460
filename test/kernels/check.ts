/** What the checks in a guest have in common: they print what they find, one JSON object on each line. */
import { release } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'

/** A check that takes longer has failed, and the next one begins. */
const LIMIT_MS = 600_000

/** A check of something that this kernel does not have. */
export class Absent {
  readonly why: string

  constructor(why: string) {
    this.why = why
  }
}

/** Returns what it has measured, in a few words, or throws. */
export type Check = () => Promise<string | Absent>

export interface Finding {
  readonly title: string
  readonly outcome: 'passed' | 'failed' | 'absent'
  readonly seen: string
  readonly seconds: number
}

const print = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)

/** Runs the checks one after the other, and ends the process. */
export async function run(checks: Readonly<Record<string, Check>>): Promise<never> {
  for (const [title, work] of Object.entries(checks)) {
    print({ begins: title })
    const startedMs = performance.now()
    const finding = await inTime(work).then(
      (it) => (it instanceof Absent ? { outcome: 'absent', seen: it.why } : { outcome: 'passed', seen: it }),
      (error: Error) => {
        process.stderr.write(`${title}: ${error.stack}\n`)
        return { outcome: 'failed', seen: stripVTControlCharacters(error.message).slice(0, 400) }
      },
    )
    print({ title, ...finding, seconds: (performance.now() - startedMs) / 1_000 })
  }
  process.exit()
}

async function inTime(work: Check): Promise<string | Absent> {
  const ends = new AbortController()
  const late = sleep(LIMIT_MS, undefined, { signal: ends.signal }).then(() => {
    throw new Error(`it did not end within ${LIMIT_MS / 1_000} s`)
  })
  try {
    return await Promise.race([work(), late])
  } finally {
    late.catch(() => {})
    ends.abort()
  }
}

/** Whether the kernel is at least this version. */
export function isLinux(major: number, minor: number): boolean {
  const [, ofKernel, ofRelease] = /^(\d+)\.(\d+)/.exec(release()) ?? []
  return Number(ofKernel) > major || (Number(ofKernel) === major && Number(ofRelease) >= minor)
}
