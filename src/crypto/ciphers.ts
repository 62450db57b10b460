/**
 * What the data path needs from a crypto implementation. It works on the shared memory and allocates nothing.
 *
 * koffi needs addresses that were made at the start. So there are slots to work in, {@link SEALING_SLOT_BYTES}
 * apart, each with its address. A message to seal is put together in a slot and stays there until it is sent. A
 * message to open goes through some of the first slots, and back to where it was.
 */
import type { NativeMemory } from '../linux/memory.js'

/** The bytes from one slot to the next. The content of a slot may reach over the slots behind it. */
export const SEALING_SLOT_BYTES = 64

/**
 * Where in a slot the plain bytes begin. Sealing overwrites what is before them; after that, a header goes
 * there.
 */
export const SEALING_SLOT_SKEW = 64

/** How many bytes behind the plain bytes sealing may write. The tag is among them. */
export const SEALING_SLOT_TAIL_BYTES = 32

export const KEY_BYTES = 32
export const NONCE_BYTES = 12
export const TAG_BYTES = 16
export const MAC_BYTES = 16

/** The slots that one message of up to 64 KiB takes. */
const MESSAGE_SLOTS = Math.ceil((SEALING_SLOT_SKEW + 65_536 + SEALING_SLOT_TAIL_BYTES) / SEALING_SLOT_BYTES)

/**
 * The first slots are for opening. The sealed message begins at slot `sealed`, the opened one at slot `plain`.
 */
export const OPENING_SLOTS = { sealed: 0, plain: MESSAGE_SLOTS, end: 2 * MESSAGE_SLOTS } as const

/**
 * ChaCha20-Poly1305 without associated data. A key that is ready for use is in a key slot, numbered from 0.
 * Each thread has its own instance.
 */
export interface Aead {
  /**
   * Puts a key into `keySlot`. `key` is the offset of its 32 bytes in the memory. `sealing`: to seal with it,
   * or to open.
   */
  setKey(keySlot: number, key: number, sealing: boolean): void
  /** Wipes and frees what `keySlot` holds. */
  clearKey(keySlot: number): void
  /**
   * Seals, in place, the `bytes` bytes that begin {@link SEALING_SLOT_SKEW} bytes into `slot`. The 16 bytes of
   * the tag follow them. The nonce is four zero bytes and the counter, little-endian (RFC 8439); the counter
   * has 64 bits, `high` and `low`.
   */
  seal(keySlot: number, high: number, low: number, slot: number, bytes: number): void
  /**
   * Opens, in place, `bytes` bytes at offset `at`; they include the tag. Returns false if they were not sealed
   * with this key and nonce; the bytes at `at` are then unchanged. Otherwise the tag is lost.
   */
  open(keySlot: number, high: number, low: number, at: number, bytes: number): boolean
}

/** The longest input of a {@link KeyedHash}: a handshake message. */
export const MAX_MAC_INPUT_BYTES = 192

/** BLAKE2s with a key and an output of 16 bytes. The input has at most {@link MAX_MAC_INPUT_BYTES} bytes. */
export interface KeyedHash {
  /** Sets the key: the `bytes` bytes at offset `key`, at most 32. */
  setKey(key: number, bytes: number): void
  /** Writes the mac of the `bytes` bytes at `at` to `out`. */
  write(at: number, bytes: number, out: number): void
  /** Whether the 16 bytes at `mac` are the mac of the `bytes` bytes at `at`. */
  isRight(at: number, bytes: number, mac: number): boolean
}

export const XNONCE_BYTES = 24

/** XChaCha20-Poly1305. Seals 16 bytes to 32 bytes. */
export interface CookieSealer {
  /** Sets the key: the 32 bytes at offset `key`. */
  setKey(key: number): void
  /**
   * Seals the 16 bytes at `cookie` to `out`. The 16 bytes at `data` are the associated data.
   * @param nonce offset of {@link XNONCE_BYTES} bytes
   */
  seal(nonce: number, cookie: number, data: number, out: number): void
}

export interface AeadOptions {
  readonly memory: NativeMemory
  /** The offset of the slots, a multiple of 64, and the bytes of all slots. */
  readonly at: number
  readonly bytes: number
  /** The offset of {@link CRYPTO_SCRATCH_BYTES} bytes, a multiple of 64. */
  readonly scratch: number
  /** The offset of {@link KEY_BYTES} bytes for each key slot, a multiple of 64. */
  readonly keys: number
  /** Copies `bytes` bytes, and up to 15 more. */
  copy(to: number, from: number, bytes: number): void
}

/** A crypto implementation, and its name for a person. */
export interface Crypto {
  readonly name: string
  aead(options: AeadOptions): Aead
  /**
   * Like {@link aead}, but with the keys of another thread's: `keys` is the same for both. The other thread must not change
   * a key while this one works with it. Undefined if keys cannot be lent, because they are not in the shared memory.
   */
  readonly lentAead?: ((options: AeadOptions) => Aead) | undefined
  /** @param key 32 bytes */
  mac(memory: NativeMemory, scratch: number, key: Uint8Array): KeyedHash
  /** @param key 32 bytes */
  cookieSealer(memory: NativeMemory, scratch: number, key: Uint8Array): CookieSealer
}

/** The bytes of scratch memory that each object made by a {@link Crypto} needs. */
export const CRYPTO_SCRATCH_BYTES = 512

/** The addresses of all slots of an {@link Aead}, and the address after the last slot. */
export function slotAddresses({ memory, at, bytes }: AeadOptions): readonly bigint[] {
  return Array.from({ length: bytes / SEALING_SLOT_BYTES + 1 }, (_, slot) =>
    memory.address(at + slot * SEALING_SLOT_BYTES),
  )
}
