import type { Finding } from './check.js'
import type { Kernel } from './kernels.js'
import type { Outcome, Row } from './results.js'

/** What a guest prints: what it is, which check begins or has ended (with a code), and what a check prints. */
interface Line extends Partial<Finding> {
  readonly release?: string
  readonly check?: string
  readonly code?: number
  readonly tun_users?: string
  readonly begins?: string
  readonly end?: boolean
}

/** Makes rows of the table of what a guest prints. */
export class Reader {
  readonly #kernel: Kernel
  readonly #date: string
  readonly #say: (line: string) => void
  readonly rows: Row[] = []
  #release: string
  #check = ''
  #hasEnded = true
  #begun: string | undefined

  constructor(kernel: Kernel, date: string, say: (line: string) => void) {
    this.#kernel = kernel
    this.#date = date
    this.#say = say
    this.#release = kernel.release
  }

  /** The file of checks that has not ended yet. */
  get unfinished(): string | undefined {
    return this.#hasEnded ? undefined : this.#check
  }

  /** @returns whether there may be new rows */
  take(text: string): boolean {
    const line = parse(text)
    if (line === undefined) {
      this.#say(`not understood: ${text}`)
      return false
    }
    if (line.release !== undefined) this.#release = line.release
    if (line.begins !== undefined) this.#begun = line.begins
    const isFinding = line.title !== undefined && line.outcome !== undefined
    if (isFinding) this.#add(line.title, line.outcome, line.seen ?? '', (line.seconds ?? 0).toFixed(1))
    if (line.check === undefined) return isFinding
    this.#hasEnded = line.code !== undefined
    if (line.code === undefined) this.#check = line.check
    else this.#checkEnded(line.code, line.tun_users ?? '')
    return this.#hasEnded
  }

  /** The end of a check's file: it must have come to its end, and no device may be left. */
  #checkEnded(code: number, tunUsers: string): void {
    if (this.#begun !== undefined)
      this.#add(this.#begun, 'failed', code === 124 ? 'it did not end in time' : `it ended with ${code}`, '')
    else if (code !== 0) this.#add('the file', 'failed', `it ended with ${code}`, '')
    if (tunUsers !== '' && tunUsers !== '0')
      this.#add('what is left', 'failed', `the module tun has ${tunUsers} users`, '')
  }

  /** All rows. @param checks what should have been run: what the guest did not come to has failed */
  end(checks: readonly string[]): Row[] {
    this.#hasEnded = true
    if (this.#begun !== undefined) this.#add(this.#begun, 'failed', 'the guest ended or stood still', '')
    for (const check of checks) {
      this.#check = check
      if (!this.rows.some((row) => row.check === check))
        this.#add('all', 'failed', 'the guest did not come to it', '')
    }
    return this.rows
  }

  #add(title: string, outcome: Outcome, seen: string, seconds: string): void {
    this.#begun = undefined
    const { name: kernel } = this.#kernel
    const row = {
      kernel,
      release: this.#release,
      date: this.#date,
      check: this.#check,
      title,
      outcome,
      seen,
      seconds,
    }
    this.rows.push(row)
    this.#say(`${this.#check}: ${title}: ${outcome}${seen === '' ? '' : `: ${seen}`} (${seconds} s)`)
  }
}

function parse(text: string): Line | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
