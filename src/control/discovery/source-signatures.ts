import { isSignedByHost } from '../../noise/signing-key.js'
import { Rates } from '../../rates.js'
import type { SignedRecord } from '../../wire/signed-record.js'
import { NetworkKey } from '../network-key.js'
import type { Statement } from './statement.js'
import type { Signatures } from './verdict.js'

/**
 * How many of each kind are looked at in a second, and in one burst: one takes a tenth of a millisecond. A burst is short,
 * because all values of a store come at once. Of 4,096 members, the last one is looked at after 15 seconds.
 */
const PER_SECOND = 256
const BURST = 256

const SLOT = { record: 0, statement: 1 } as const

/** What has been signed of what a peer source tells. */
export class SourceSignatures implements Signatures {
  readonly #rates = new Rates(2, PER_SECOND, BURST)
  readonly #nowMs: () => number
  readonly #networkKey = new NetworkKey()

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Whether there is a network key. */
  get any(): boolean {
    return this.#networkKey.isSet
  }

  /** From now on this network key counts. @returns whether it is another one */
  follow(networkKey: string | undefined): boolean {
    return this.#networkKey.follow(networkKey)
  }

  isRecordSigned(record: SignedRecord): boolean | undefined {
    if (!this.#networkKey.isSet) return false
    return this.#rates.allows(SLOT.record, this.#nowMs()) ? this.#networkKey.hasSigned(record) : undefined
  }

  isStatementSigned(signingKey: Uint8Array, { message, signature }: Statement): boolean | undefined {
    if (!this.#rates.allows(SLOT.statement, this.#nowMs())) return undefined
    return isSignedByHost(signingKey, message, signature)
  }
}
