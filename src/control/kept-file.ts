import type { Faults } from './faults.js'
import type { Platform } from './platform.js'

/** What could not be written is tried again after this time, because the directory may be full, or never writable. */
const AGAIN_MS = 30_000

export interface KeptFileOptions {
  readonly platform: Pick<Platform, 'clock' | 'state'>
  readonly faults: Faults
  /** In the state directory. */
  readonly name: string
  /** The least time between two writes. */
  readonly leastMs: number
  /** What the file should hold now. */
  readonly text: () => string
  /** The file could not be written. */
  readonly failed?: () => void
}

/** A file in the state directory that follows what changes, without being written all the time. */
export class KeptFile {
  readonly #options: KeptFileOptions
  #isChanged = false
  #writing: Promise<void> | undefined
  #nextMs = Number.NEGATIVE_INFINITY

  constructor(options: KeptFileOptions) {
    this.#options = options
  }

  /** The file should hold something else than before. */
  change(): void {
    this.#isChanged = true
  }

  /** The file holds what it should: what was read from it has been put in place again. */
  unchanged(): void {
    this.#isChanged = false
  }

  /** Must be called often. */
  tick(): void {
    const nowMs = this.#options.platform.clock.nowMs()
    if (!this.#isChanged || this.#writing !== undefined || nowMs < this.#nextMs) return
    this.#nextMs = nowMs + this.#options.leastMs
    this.#writing = this.#write().finally(() => {
      this.#writing = undefined
    })
  }

  /** Writes what is not written yet. */
  async close(): Promise<void> {
    await this.#writing
    if (this.#isChanged) await this.#write()
  }

  async #write(): Promise<void> {
    const { platform, faults, name, text, failed } = this.#options
    this.#isChanged = false
    try {
      if (await platform.state.replace(name, text())) return
      this.#isChanged = true
      this.#nextMs = platform.clock.nowMs() + AGAIN_MS
      failed?.()
    } catch (error) {
      faults.take('introductions', error)
    }
  }
}
