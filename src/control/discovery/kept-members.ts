import type { Logger } from 'pino'
import * as z from 'zod'
import type { Faults } from '../faults.js'
import type { Platform } from '../platform.js'
import { type Directory, MAX_ENTRIES } from './directory.js'
import { latestSchema } from './latest-book.js'

/** The least time between two writes. */
const KEEP_MS = 5_000

/** What could not be written is tried again after this time, because the directory may be full, or never writable. */
const AGAIN_MS = 30_000

const keptSchema = z.object({
  version: z.literal(1),
  values: z.array(z.tuple([z.string(), z.string()])).max(MAX_ENTRIES),
  latest: z.array(latestSchema).max(MAX_ENTRIES).default([]),
})

export interface KeptMembersOptions {
  /** In the state directory. */
  readonly file: string
  readonly platform: Pick<Platform, 'clock' | 'state'>
  readonly log: Logger
  readonly faults: Faults
}

/** Keeps in the state directory whom a store has named last, for a start without it. */
export class KeptMembers {
  readonly #options: KeptMembersOptions
  readonly #directory: Directory
  #isKept = true
  #keeping: Promise<unknown> | undefined
  #nextMs = Number.NEGATIVE_INFINITY

  constructor(directory: Directory, options: KeptMembersOptions) {
    this.#directory = directory
    this.#options = options
  }

  /** Takes whom an earlier run has known last. */
  restore(): void {
    const { platform, log, file } = this.#options
    const text = platform.state.read(file)
    if (text === undefined) return
    try {
      const { values, latest } = keptSchema.parse(JSON.parse(text))
      this.#directory.latest.restore(latest)
      for (const [name, value] of values) this.#directory.put(name, value, platform.clock.nowMs())
    } catch {
      log.warn(`${platform.state.path}/${file} is damaged, so the members that were known last are forgotten`)
    }
    this.#isKept = true
  }

  /** There is something else to be kept. */
  change(): void {
    this.#isKept = false
  }

  /** Must be called often. */
  tick(nowMs: number): void {
    if (this.#isKept || this.#keeping !== undefined || nowMs < this.#nextMs) return
    this.#nextMs = nowMs + KEEP_MS
    this.#keep()
  }

  async close(): Promise<void> {
    await this.#keeping
    if (!this.#isKept) await this.#keep()
  }

  #keep(): Promise<unknown> {
    const { platform, faults, file } = this.#options
    this.#isKept = true
    const { values, latest } = this.#directory
    const text = `${JSON.stringify({ version: 1, values, latest: latest.content })}\n`
    this.#keeping = platform.state
      .replace(file, text)
      .then((isKept) => {
        if (isKept) return
        this.#isKept = false
        this.#nextMs = platform.clock.nowMs() + AGAIN_MS
      })
      .catch((error) => faults.take('introductions', error))
      .finally(() => {
        this.#keeping = undefined
      })
    return this.#keeping
  }
}
