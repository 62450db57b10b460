import type { KeyObject } from 'node:crypto'
import { isSignedBy, networkPublicKey } from '../config/network-key.js'
import type { SignedRecord } from '../wire/signed-record.js'

/** The network key of the settings, as they are now. */
export class NetworkKey {
  #text: string | undefined
  #key: KeyObject | undefined

  /** Whether there is one. */
  get isSet(): boolean {
    return this.#key !== undefined
  }

  /**
   * From now on this key counts; undefined: none.
   * @returns whether it is another one than before
   */
  follow(text: string | undefined): boolean {
    if (text === this.#text) return false
    this.#text = text
    this.#key = text === undefined ? undefined : networkPublicKey(text)
    return true
  }

  /** Whether it has signed this record. A key that is not set has signed nothing. One look takes a tenth of a millisecond. */
  hasSigned(record: SignedRecord): boolean {
    return this.#key !== undefined && isSignedBy(record, this.#key)
  }
}
