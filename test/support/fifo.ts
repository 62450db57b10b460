import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** A pipe whose reader reads only when asked. */
export class Fifo implements Disposable {
  /** The end to write to. Its other openings must be closed before the reader can see the end. */
  readonly writeFd: number
  readonly #readFd: number
  readonly #folder = mkdtempSync(join(tmpdir(), 'fifo-'))
  #open = true

  constructor() {
    const path = join(this.#folder, 'fifo')
    execFileSync('mkfifo', [path])
    this.#readFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    this.writeFd = openSync(path, constants.O_WRONLY)
  }

  /** Reads what is there, until nothing more has come for `quietMs`. */
  async read(quietMs = 300): Promise<string> {
    const buffer = Buffer.alloc(65_536)
    const chunks: Buffer[] = []
    for (let endMs = performance.now() + quietMs; performance.now() < endMs; ) {
      const bytes = this.#readSome(buffer)
      if (bytes === 0) {
        await sleep(5)
        continue
      }
      chunks.push(Buffer.from(buffer.subarray(0, bytes)))
      endMs = performance.now() + quietMs
    }
    return Buffer.concat(chunks).toString()
  }

  #readSome(buffer: Buffer): number {
    try {
      return readSync(this.#readFd, buffer)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0
      throw error
    }
  }

  /** Leaves the pipe without a reader. */
  closeReader(): void {
    if (this.#open) closeSync(this.#readFd)
    this.#open = false
  }

  [Symbol.dispose](): void {
    this.closeReader()
    closeSync(this.writeFd)
    rmSync(this.#folder, { recursive: true })
  }
}
