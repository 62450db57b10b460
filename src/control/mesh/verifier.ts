import { Rates } from '../../rates.js'
import type { SignedRecord } from '../../wire/signed-record.js'
import { NetworkKey } from '../network-key.js'

/**
 * How many unknown records of one teller are looked at in a second, and in one burst, so that bogus ones cost little: one
 * takes a tenth of a millisecond. Of 4,096 members that are told at once, the last ones are looked at after 12 seconds.
 */
export const RECORDS_PER_SECOND = 256
export const RECORDS_BURST = 1_024

/** Knows which records the network key has signed. It looks at the same bytes once. */
export class Verifier {
  readonly #nowMs: () => number
  readonly #networkKey = new NetworkKey()
  /** By the bytes of the records. */
  #known = new Map<string, boolean>()
  #used = new Map<string, boolean>()
  readonly #budgets = new Map<string, Rates>()

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** From now on this network key counts; undefined: none has signed anything. */
  follow(networkKey: string | undefined): void {
    if (!this.#networkKey.follow(networkKey)) return
    this.#known.clear()
    this.#used.clear()
  }

  /** @returns undefined if it is not known, and `by` has told too many others a moment ago */
  isSigned(record: SignedRecord, by: string): boolean | undefined {
    if (!this.#networkKey.isSet) return false
    const text = textOf(record)
    const before = this.#used.get(text) ?? this.#known.get(text)
    if (before === undefined && !this.#budgetOf(by).allows(0, this.#nowMs())) return undefined
    const isSigned = before ?? this.#networkKey.hasSigned(record)
    this.#used.set(text, isSigned)
    return isSigned
  }

  /** All that are told now were asked for since the last call. What is not told any more is forgotten. */
  forgetOthers(): void {
    this.#known = this.#used
    this.#used = new Map()
  }

  #budgetOf(by: string): Rates {
    const budget = this.#budgets.get(by) ?? new Rates(1, RECORDS_PER_SECOND, RECORDS_BURST)
    this.#budgets.set(by, budget)
    return budget
  }
}

/** All records are asked for whenever one of them changes. */
const texts = new WeakMap<SignedRecord, string>()

/** The bytes of a record, as text. */
function textOf(record: SignedRecord): string {
  const known = texts.get(record)
  if (known !== undefined) return known
  const text = Buffer.from(record.bytes).toString('latin1')
  texts.set(record, text)
  return text
}
