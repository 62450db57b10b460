import { write } from 'node:fs'
import { type LineLoss, type LostLines, noLostLines } from '../control/faults.js'

/** Most bytes that wait. Further lines are lost until half of them are written. */
const WAITING_BYTES = 256 * 1024

/** Most bytes of one write. */
const BATCH_BYTES = 16 * 1024

/** When to try again if a non-blocking fd takes nothing. */
const AGAIN_MS = 50

/** How long the end of the program waits for what is not written yet. */
const END_WITHIN_MS = 1_000

const NEWLINE = '\n'.charCodeAt(0)

/** A line that waits; or a line about lost lines, which itself is no loss. */
interface Waiting {
  readonly bytes: Buffer
  /** How many lost lines it tells of. */
  readonly tells: number
}

export interface LineWriterOptions {
  /** Where lost lines are counted. */
  readonly lost?: LostLines
  /** The line that tells of so many lost lines, with its line feed; empty for none. */
  readonly tell?: (lines: number) => string
}

/** The writers that may have something to write at the end. */
const writers = new Set<LineWriter>()

/**
 * Writes lines to an fd and never blocks, whatever the fd is. Each write runs in libuv's thread pool, and there
 * is one at a time. Lines wait meanwhile. A line that cannot wait or cannot be written is lost and counted.
 * pino's own transport thread does not do: its queue has no bound, a full ring stops main, and an error of
 * the thread ends the log.
 */
export class LineWriter {
  readonly #fd: number
  readonly #lost: LostLines
  readonly #tell: (lines: number) => string
  #waiting: Waiting[] = []
  #waitingBytes = 0
  /** Whether a write is under way, or is to be tried again. */
  #busy = false
  /** Whether lines are lost because too many wait. */
  #full = false
  /** Lost lines that no line has told of. */
  #untold = 0
  /** Whether the last byte that was written is not the end of a line. */
  #torn = false
  #whenIdle: (() => void)[] = []

  constructor(fd: number, { lost = noLostLines(), tell = () => '' }: LineWriterOptions = {}) {
    this.#fd = fd
    this.#lost = lost
    this.#tell = tell
    writers.add(this)
  }

  /** @param line with its line feed */
  write(line: string): void {
    const bytes = Buffer.from(line)
    this.#full ||= this.#waitingBytes > 0 && this.#waitingBytes + bytes.length > WAITING_BYTES
    if (this.#full) {
      this.#lose('reader_slow', 1)
      return
    }
    this.#tellOfLost()
    this.#wait(bytes, 0)
    this.#start()
  }

  /** Resolves when nothing waits any more. */
  idle(): Promise<void> {
    return this.#busy ? new Promise((resolve) => this.#whenIdle.push(resolve)) : Promise.resolve()
  }

  #wait(bytes: Buffer, tells: number): void {
    this.#waiting.push({ bytes, tells })
    this.#waitingBytes += bytes.length
  }

  #lose(why: LineLoss, lines: number): void {
    this.#lost[why] += lines
    this.#untold += lines
  }

  #tellOfLost(): void {
    if (this.#untold === 0) return
    const text = this.#tell(this.#untold)
    if (text !== '') this.#wait(Buffer.from(text), this.#untold)
    this.#untold = 0
  }

  /** Writes what waits, if nothing is being written. */
  #start(): void {
    if (this.#busy) return
    if (this.#waiting.length === 0) {
      for (const resolve of this.#whenIdle.splice(0)) resolve()
      return
    }
    this.#busy = true
    let bytes = 0
    const beyond = this.#waiting.findIndex((line, index) => {
      bytes += line.bytes.length
      return index > 0 && bytes > BATCH_BYTES
    })
    const batch = this.#waiting.splice(0, beyond < 0 ? this.#waiting.length : beyond)
    // The line before, of which only a part was written, must not swallow the next one.
    const start = Buffer.from(this.#torn ? '\n' : '')
    this.#write(batch, Buffer.concat([start, ...batch.map((line) => line.bytes)]), 0)
  }

  #write(batch: readonly Waiting[], bytes: Buffer, from: number): void {
    write(this.#fd, bytes, from, bytes.length - from, null, (error, written) => {
      if (error?.code === 'EAGAIN') {
        setTimeout(() => this.#write(batch, bytes, from), AGAIN_MS)
        return
      }
      const to = from + (error === null ? written : 0)
      if (error === null && to < bytes.length) this.#write(batch, bytes, to)
      else this.#end(batch, bytes, to, error)
    })
  }

  /** Ends a batch of which the first `written` bytes are written, because these are all, or on an error. */
  #end(batch: readonly Waiting[], bytes: Buffer, written: number, error: NodeJS.ErrnoException | null): void {
    if (written > 0) this.#torn = bytes[written - 1] !== NEWLINE
    let end = bytes.length
    // From the last line to the first one of which something is missing.
    for (const line of batch.toReversed()) {
      this.#waitingBytes -= line.bytes.length
      if (end > written && line.tells === 0) this.#lose(lossOf(error), 1)
      if (end > written) this.#untold += line.tells
      end -= line.bytes.length
    }
    this.#busy = false
    if (this.#waitingBytes <= WAITING_BYTES / 2) {
      this.#full = false
      if (error === null) this.#tellOfLost()
    }
    this.#start()
  }
}

function lossOf(error: NodeJS.ErrnoException | null): LineLoss {
  switch (error?.code) {
    case 'EPIPE':
    case 'ECONNRESET':
      return 'reader_gone'
    case 'ENOSPC':
    case 'EDQUOT':
      return 'no_space'
    default:
      return 'write_failed'
  }
}

/** Resolves when all lines are written. After a second it resolves anyway, because the reader may stand still. */
export async function linesWritten(): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, END_WITHIN_MS)
  })
  await Promise.race([late, Promise.all([...writers].map((it) => it.idle()))])
  clearTimeout(timer)
}
