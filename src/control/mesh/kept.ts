import { createHash } from 'node:crypto'
import type { Logger } from 'pino'
import * as z from 'zod'
import { MAX_PEERS } from '../../config/schema.js'
import { MAX_SERIAL } from '../../wire/signed-record.js'
import type { Faults } from '../faults.js'
import { KeptFile } from '../kept-file.js'
import type { Platform } from '../platform.js'

/** So many names are remembered, also of hosts that nobody introduces any more. */
export const MAX_PINS = 4 * MAX_PEERS

/** The least time between two writes. */
const WRITE_MS = 2_000

const contentSchema = z.strictObject({
  version: z.literal(1),
  /** The one that all serial numbers are of. */
  network_key: z.string().nullable(),
  names: z
    .array(
      z.strictObject({
        name: z.string(),
        key: z.string(),
        serial: z.number().int().min(0).max(MAX_SERIAL).nullable(),
      }),
    )
    .max(MAX_PINS),
  /** Of members of an introducer, as lines. */
  records: z.array(z.string()).max(MAX_PEERS),
})

export type KeptContent = Omit<z.output<typeof contentSchema>, 'version'>

export interface KeptOptions {
  readonly platform: Pick<Platform, 'clock' | 'state'>
  /** This host's public key, in base64; undefined if it has none. Then nothing is kept. */
  readonly ownKey: string | undefined
  readonly log: Logger
  readonly faults: Faults
  /** What is to be kept now. */
  readonly content: () => KeptContent
}

/** Keeps in the state directory what a restart must not forget: names with their keys and serial numbers, and records. */
export class Kept {
  readonly #options: KeptOptions
  readonly #name: string | undefined
  readonly #file: KeptFile | undefined
  #isSaid = false

  constructor(options: KeptOptions) {
    const { ownKey, content } = options
    this.#options = options
    this.#name = ownKey && `members-${createHash('sha256').update(ownKey).digest('hex').slice(0, 16)}.json`
    if (this.#name === undefined) return
    this.#file = new KeptFile({
      ...options,
      name: this.#name,
      leastMs: WRITE_MS,
      text: () => `${JSON.stringify({ version: 1, ...content() })}\n`,
      failed: () => this.#sayFailed(),
    })
  }

  /** What an earlier run has kept; undefined if there is nothing, or nothing of use. */
  load(): KeptContent | undefined {
    const { platform, log } = this.#options
    const text = this.#name === undefined ? undefined : platform.state.read(this.#name)
    if (text === undefined) return undefined
    try {
      return contentSchema.parse(JSON.parse(text))
    } catch {
      log.warn(
        `${platform.state.path}/${this.#name} is damaged, so the names and serial numbers of members that were seen before are forgotten`,
      )
      return undefined
    }
  }

  /** Something is to be kept otherwise than before. */
  change(): void {
    this.#file?.change()
  }

  /** Must be called often. */
  tick(): void {
    this.#file?.tick()
  }

  /** Writes what is not written yet. */
  async close(): Promise<void> {
    await this.#file?.close()
  }

  #sayFailed(): void {
    const { platform, log } = this.#options
    if (this.#isSaid) return
    this.#isSaid = true
    log.warn(
      `nothing can be kept in ${platform.state.path}, so a restart forgets which keys and serial numbers members had; make it writable for root alone`,
    )
  }
}
