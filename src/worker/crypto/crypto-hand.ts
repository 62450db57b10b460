import type { Aead } from '../../crypto/ciphers.js'
import type { NativeMemory } from '../../linux/memory.js'
import { type CryptoBatch, CryptoWord } from '../../memory/crypto-batch.js'
import { MESSAGE, writeTransportHeader } from '../../wire/wireguard.js'

/** Messages taken at a time: some microseconds of work, so that taking costs little, and nobody waits for long. */
const TAKEN = 4

/** One thread's part in a batch: it takes messages until none is left, and seals or opens them. */
export class CryptoHand {
  readonly #memory: NativeMemory
  readonly #batch: CryptoBatch
  readonly #aead: Aead
  readonly #seals: boolean

  /**
   * @param aead its key slots are those of the batch's owner; to seal, its slots are, too
   * @param seals whether the messages are to be sealed, and not opened
   */
  constructor(memory: NativeMemory, batch: CryptoBatch, aead: Aead, seals: boolean) {
    this.#memory = memory
    this.#batch = batch
    this.#aead = aead
    this.#seals = seals
  }

  /** Takes some messages of a published batch, and does them. False if none was left. */
  help(): boolean {
    const batch = this.#batch
    const taken = batch.take(TAKEN)
    if (taken === 0) return false
    const first = taken >>> 10
    const count = taken & 1_023
    for (let index = first; index < first + count; index++) this.#do(index)
    batch.finish(count)
    return true
  }

  /** Does a batch that was not published. */
  doAll(): void {
    const { count } = this.#batch
    for (let index = 0; index < count; index++) this.#do(index)
  }

  #do(index: number): void {
    const { u32 } = this.#memory
    const entry = this.#batch.entry(index)
    const at = u32[entry + CryptoWord.at]
    const bytes = u32[entry + CryptoWord.bytes]
    const keySlot = u32[entry + CryptoWord.keySlot]
    const low = u32[entry + CryptoWord.low]
    const high = u32[entry + CryptoWord.high]
    if (!this.#seals) {
      u32[entry + CryptoWord.opened] = this.#aead.open(keySlot, high, low, at, bytes) ? 1 : 0
      return
    }
    this.#aead.seal(keySlot, high, low, at, bytes)
    const receiver = u32[entry + CryptoWord.mark]
    writeTransportHeader(u32, u32[entry + CryptoWord.header], MESSAGE.transport, receiver, high, low)
  }
}
