import type { Logger } from 'pino'
import * as z from 'zod'
import type { Faults } from '../faults.js'
import { KeptFile } from '../kept-file.js'
import type { Platform } from '../platform.js'
import { type Directory, MAX_ENTRIES } from './directory.js'
import { latestSchema } from './latest-book.js'

/** The least time between two writes. */
const KEEP_MS = 5_000

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
  readonly #kept: KeptFile

  constructor(directory: Directory, options: KeptMembersOptions) {
    this.#directory = directory
    this.#options = options
    this.#kept = new KeptFile({
      ...options,
      name: options.file,
      leastMs: KEEP_MS,
      text: () => {
        const { values, latest } = directory
        return `${JSON.stringify({ version: 1, values, latest: latest.content })}\n`
      },
    })
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
    this.#kept.unchanged()
  }

  /** There is something else to be kept. */
  change(): void {
    this.#kept.change()
  }

  /** Must be called often. */
  tick(): void {
    this.#kept.tick()
  }

  async close(): Promise<void> {
    await this.#kept.close()
  }
}
