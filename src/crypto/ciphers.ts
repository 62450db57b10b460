/**
 * What the data path asks of whoever does the cryptography, over the shared memory and without an allocation.
 *
 * koffi wants addresses that were made at start, so there are slots to work in: {@link SEALING_SLOT_BYTES} apart, each
 * with its address. What is sealed is put together in such a slot, and stays there until it is sent; what is
 * opened goes through some at the start, and back to where it was.
 */
import type { NativeMemory } from '../linux/memory.js'

/** Bytes from one slot to the next; what is put in one may reach over those behind it. */
export const SEALING_SLOT_BYTES = 64

/** Where in a slot the plain bytes begin. What is before them is written over by a seal; then a header goes there. */
export const SEALING_SLOT_SKEW = 64

/** Bytes behind the plain ones that a seal may write: the tag is among them. */
export const SEALING_SLOT_TAIL_BYTES = 32

export const KEY_BYTES = 32
export const NONCE_BYTES = 12
export const TAG_BYTES = 16
export const MAC_BYTES = 16

/** Places that one message of up to 64 KiB takes. */
const MESSAGE_SLOTS = Math.ceil((SEALING_SLOT_SKEW + 65_536 + SEALING_SLOT_TAIL_BYTES) / SEALING_SLOT_BYTES)

/** The first slots are for opening: from the first on for what is sealed, from the second on for what was in it. */
export const OPENING_SLOTS = { sealed: 0, plain: MESSAGE_SLOTS, end: 2 * MESSAGE_SLOTS } as const

/** ChaCha20-Poly1305 without associated data. Keys ready for use have a number from 0. One for each thread. */
export interface Aead {
  /** Takes the 32 bytes of a key, by their offset in the memory, for `keySlot`: to seal with, or to open. */
  setKey(keySlot: number, key: number, sealing: boolean): void
  /** Wipes and frees what `keySlot` holds. */
  clearKey(keySlot: number): void
  /**
   * Seals the `bytes` bytes that lie in `slot`, {@link SEALING_SLOT_SKEW} in, where they lie; the tag of 16 bytes goes
   * behind them. The nonce is four bytes of zero and the counter, little-endian (RFC 8439; 64 bits: `high`, `low`).
   */
  seal(keySlot: number, high: number, low: number, slot: number, bytes: number): void
  /**
   * Opens `bytes` bytes, the tag among them, which lie at offset `at`, where they lie. False where they were not
   * sealed with this key and nonce; what lies at `at` is then as it was. Else the tag is lost.
   */
  open(keySlot: number, high: number, low: number, at: number, bytes: number): boolean
}

/** The longest that a {@link KeyedHash} is made of: a handshake message. */
export const MAX_MAC_INPUT_BYTES = 192

/** BLAKE2s with a key and 16 bytes out. What it is made of is at most {@link MAX_MAC_INPUT_BYTES} long. */
export interface KeyedHash {
  /** Has the `bytes` bytes at offset `key`, at most 32, for its key from now on. */
  setKey(key: number, bytes: number): void
  /** Writes the mac of the `bytes` bytes at `at` to `out`. */
  write(at: number, bytes: number, out: number): void
  /** Whether the 16 bytes at `mac` are those of the `bytes` bytes at `at`. */
  isRight(at: number, bytes: number, mac: number): boolean
}

export const XNONCE_BYTES = 24

/** XChaCha20-Poly1305 with one key: seals 16 bytes to 32. */
export interface CookieSealer {
  /**
   * Seals the 16 bytes at `cookie`, with the 16 at `data` that go with it, to `out`.
   * @param nonce offset of {@link XNONCE_BYTES}
   */
  seal(nonce: number, cookie: number, data: number, out: number): void
}

export interface AeadOptions {
  readonly memory: NativeMemory
  /** Offset of the slots, a multiple of 64, and the bytes of all of them. */
  readonly at: number
  readonly bytes: number
  /** Offset of {@link CRYPTO_SCRATCH_BYTES} bytes, a multiple of 64. */
  readonly scratch: number
  /** Offset of {@link KEY_BYTES} bytes for each key slot, a multiple of 64. */
  readonly keys: number
  /** Copies `bytes` bytes, and up to 15 more. */
  copy(to: number, from: number, bytes: number): void
}

/** What the work is done with, and what a person is told of it. */
export interface Crypto {
  readonly name: string
  aead(options: AeadOptions): Aead
  /** @param key 32 bytes */
  mac(memory: NativeMemory, scratch: number, key: Uint8Array): KeyedHash
  /** @param key 32 bytes */
  cookieSealer(memory: NativeMemory, scratch: number, key: Uint8Array): CookieSealer
}

/** Bytes of scratch memory that each of what a {@link Crypto} makes asks for. */
export const CRYPTO_SCRATCH_BYTES = 512

/** Addresses of all slots of an {@link Aead}, and of what would be the next. */
export function slotAddresses({ memory, at, bytes }: AeadOptions): readonly bigint[] {
  return Array.from({ length: bytes / SEALING_SLOT_BYTES + 1 }, (_, slot) =>
    memory.address(at + slot * SEALING_SLOT_BYTES),
  )
}
