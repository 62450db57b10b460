import { SEALING_SLOT_BYTES, SEALING_SLOT_SKEW, SEALING_SLOT_TAIL_BYTES } from '../../crypto/ciphers.js'
import type { Encap } from '../../encap/encap.js'
import type { NativeMemory } from '../../linux/memory.js'
import { CryptoWord } from '../../memory/crypto-batch.js'
import type { PathLimits } from '../../memory/path-limits.js'
import { FIRST_SEALING_SLOT, SEALING_SLOTS_BYTES } from '../../memory/slots.js'
import type { StateWords } from '../../memory/state-words.js'
import type { ByteOperations } from '../../offload/bytes.js'
import { PADDING_BYTES } from '../../wire/wireguard.js'
import type { Spread } from '../crypto/spread.js'
import type { Keyring } from '../keyring.js'

/** The most bytes added to a frame: those before it, padding, and what sealing writes behind it. */
const MORE_BYTES = SEALING_SLOT_SKEW + PADDING_BYTES + SEALING_SLOT_TAIL_BYTES

export interface SealerOptions {
  readonly memory: NativeMemory
  readonly keyring: Keyring
  readonly limits: PathLimits
  readonly bytes: ByteOperations
  /** Offset of the slots. */
  readonly slots: number
  readonly words: StateWords
  readonly encap: Encap
  /** Seals with the help of others, if there are crypto workers. */
  readonly spread?: Spread | undefined
}

/**
 * Seals a batch of frames, one after the other, into transport data messages that wait to be sent. With crypto workers, all
 * of a batch are sealed at its end.
 */
export class Sealer {
  readonly #memory: NativeMemory
  readonly #keyring: Keyring
  readonly #limits: PathLimits
  readonly #bytes: ByteOperations
  readonly #slots: number
  readonly #words: StateWords
  readonly #encap: Encap
  readonly #headerBytes: number
  readonly #trailerBytes: number
  /** Bytes of padding that {@link PathLimits} leave room for. */
  readonly #least: number
  readonly #spread: Spread | undefined
  /** Bytes that must stay free behind a message: others write there when they seal it. */
  readonly #freeBytes: number
  #slot = FIRST_SEALING_SLOT
  /** The message that {@link seal} was called for last, if it is to be sealed later. */
  #number = 0
  #padded = 0

  constructor({ memory, keyring, limits, bytes, slots, words, encap, spread }: SealerOptions) {
    this.#memory = memory
    this.#keyring = keyring
    this.#limits = limits
    this.#bytes = bytes
    this.#slots = slots
    this.#words = words
    this.#encap = encap
    this.#headerBytes = encap.headerBytes
    this.#trailerBytes = encap.trailerBytes
    this.#least = encap.leastPaddingBytes
    this.#spread = spread
    this.#freeBytes = spread === undefined ? 0 : SEALING_SLOT_TAIL_BYTES
  }

  /** Whether there is room for a frame of `bytes`. */
  fits(bytes: number): boolean {
    if (this.#spread?.batch.full === true) return false
    return this.#slot * SEALING_SLOT_BYTES + bytes + MORE_BYTES <= SEALING_SLOTS_BYTES
  }

  /**
   * Announces that `frames` frames come next for one peer. Call it before each such group, also for one frame.
   */
  expect(frames: number): void {
    this.#keyring.expect(frames)
  }

  /** Offset at which the next frame must be put. */
  get frame(): number {
    return this.#slots + this.#slot * SEALING_SLOT_BYTES + SEALING_SLOT_SKEW
  }

  /** Copies `bytes` bytes, and up to 15 more. */
  copy(to: number, from: number, bytes: number): void {
    this.#bytes.copy(to, from, bytes)
  }

  /** Offset of the message that {@link frame} becomes. */
  get message(): number {
    return this.frame - this.#headerBytes
  }

  /**
   * Seals the `bytes` bytes at {@link frame}.
   * @returns bytes of the message, 0 if there is no key
   */
  seal(row: number, bytes: number): number {
    const limit = Math.min(this.#words.paddingLimitBytes, this.#limits.whole(row) + this.#least)
    const padded = this.#encap.pad(this.#memory.u8, this.frame, bytes, limit)
    if (this.#spread === undefined) {
      if (!this.#keyring.seal(row, this.message, this.#slot, padded)) return 0
    } else {
      this.#number = this.#keyring.next(row)
      if (this.#number < 0) return 0
      this.#padded = padded
    }
    return this.#headerBytes + padded + this.#trailerBytes
  }

  /** Keeps the message at {@link message}. The next frame goes behind it. */
  keep(bytes: number): void {
    if (this.#spread !== undefined) this.#put(this.#spread)
    const end = SEALING_SLOT_SKEW - this.#headerBytes + bytes + this.#freeBytes
    this.#slot += Math.ceil(end / SEALING_SLOT_BYTES)
  }

  #put({ batch }: Spread): void {
    const { u32 } = this.#memory
    const entry = batch.add()
    u32[entry + CryptoWord.at] = this.#slot
    u32[entry + CryptoWord.bytes] = this.#padded
    u32[entry + CryptoWord.keySlot] = this.#keyring.sealingKeySlot
    u32[entry + CryptoWord.low] = this.#number
    u32[entry + CryptoWord.high] = 0
    u32[entry + CryptoWord.header] = this.message
    u32[entry + CryptoWord.mark] = this.#keyring.remoteIndex
  }

  /** Seals what was put off. Call it before the messages are sent. */
  finish(): void {
    const spread = this.#spread
    if (spread === undefined || spread.batch.count === 0) return
    spread.run()
    spread.batch.count = 0
  }

  /** All messages have been sent, or are given up. */
  clear(): void {
    this.#slot = FIRST_SEALING_SLOT
  }
}
