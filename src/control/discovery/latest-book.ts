import * as z from 'zod'
import { formatKey } from '../../key-text.js'
import type { ToldMember } from '../../wire/introduction.js'
import { MAX_SERIAL } from '../../wire/signed-record.js'
import type { Latest } from './verdict.js'

const serial = z.number().int().min(0).max(MAX_SERIAL)

/** What is kept: public key in base64, serial number of the record, serial number of the statement. */
export const latestSchema = z.tuple([z.string(), serial, serial])

/**
 * The latest serial numbers of hosts, by their public keys. They stay when a host goes, so that nothing old is believed
 * later. Only hosts with a good record are in it; those that were not seen for the longest time make room.
 */
export class LatestBook {
  readonly #max: number
  readonly #latest = new Map<string, Latest>()

  constructor(max: number) {
    this.#max = max
  }

  get content(): z.output<typeof latestSchema>[] {
    return [...this.#latest].map(([key, { record, statement }]) => [key, record, statement])
  }

  restore(content: readonly z.output<typeof latestSchema>[]): void {
    for (const [key, record, statement] of content) this.#put(key, { record, statement })
  }

  of({ publicKey }: ToldMember): Latest | undefined {
    return this.#latest.get(formatKey(publicKey))
  }

  /** @param statement undefined: it has signed nothing */
  note({ publicKey, record }: ToldMember, statement: number | undefined): void {
    if (record !== undefined)
      this.#put(formatKey(publicKey), { record: record.serial, statement: statement ?? 0 })
  }

  clear(): void {
    this.#latest.clear()
  }

  #put(key: string, latest: Latest): void {
    this.#latest.delete(key)
    this.#latest.set(key, latest)
    const [oldest] = this.#latest.keys()
    if (this.#latest.size > this.#max && oldest !== undefined) this.#latest.delete(oldest)
  }
}
