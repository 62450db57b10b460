/**
 * ChaCha20-Poly1305 (RFC 8439, 2.8, without associated data) by the two primitives that OpenSSL's EVP functions
 * call. libcrypto does not export them, but Node's own binary does. For a message, EVP's own cost is half of
 * the whole. Also, the key stream's block that is Poly1305's key needs no separate call.
 *
 * The signatures (crypto/chacha.h, crypto/poly1305.h) are the same in all of OpenSSL 3, but nobody promises
 * that. So we check one result before we use the primitives.
 */
import { createCipheriv } from 'node:crypto'
import koffi, { type LibraryHandle } from 'koffi'
import type { Pointer } from '../linux/libc.js'
import type { NativeMemory } from '../linux/memory.js'
import {
  type Aead,
  type AeadOptions,
  KEY_BYTES,
  NONCE_BYTES,
  OPENING_SLOTS,
  SEALING_SLOT_BYTES,
  SEALING_SLOT_SKEW,
  slotAddresses,
  TAG_BYTES,
} from './ciphers.js'

export type Primitives = ReturnType<typeof declare>

function declare(lib: LibraryHandle) {
  return {
    /** The key has 8 words of 32 bits; the counter has 4 (the counter, then the nonce). */
    chacha20: lib.func('void ChaCha20_ctr32(void *out, void *in, size_t len, void *key, void *counter)') as (
      out: Pointer,
      from: Pointer,
      bytes: number,
      key: Pointer,
      counter: Pointer,
    ) => void,
    contextBytes: lib.func('size_t Poly1305_ctx_size()') as () => number,
    poly1305Init: lib.func('void Poly1305_Init(void *ctx, void *key)') as (
      context: Pointer,
      key: Pointer,
    ) => void,
    poly1305Update: lib.func('void Poly1305_Update(void *ctx, void *in, size_t len)') as (
      context: Pointer,
      from: Pointer,
      bytes: number,
    ) => void,
    poly1305Final: lib.func('void Poly1305_Final(void *ctx, void *mac)') as (
      context: Pointer,
      mac: Pointer,
    ) => void,
  }
}

/** The primitives, if the library exports them and they work right. */
export function findPrimitives(lib: LibraryHandle): Primitives | undefined {
  try {
    const primitives = declare(lib)
    return areRight(primitives) ? primitives : undefined
  } catch {
    return undefined
  }
}

/** Whether they seal a message as `node:crypto` does. */
function areRight(primitives: Primitives): boolean {
  const key = Buffer.from(Array.from({ length: KEY_BYTES }, (_, index) => index * 7 + 1))
  const counter = Buffer.from(Array.from({ length: 16 }, (_, index) => (index < 4 ? 0 : index * 5)))
  const plain = Buffer.alloc(1024 + 16, 'any')
  const cipher = createCipheriv('chacha20-poly1305', key, counter.subarray(4), { authTagLength: TAG_BYTES })
  const right = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  const bytes = Buffer.concat([Buffer.alloc(BLOCK_BYTES), plain, Buffer.alloc(TAG_BYTES)])
  primitives.chacha20(bytes, bytes, BLOCK_BYTES + plain.length, key, counter)
  bytes.writeUInt32LE(plain.length, BLOCK_BYTES + plain.length + 8)
  const context = newContext(primitives)
  primitives.poly1305Init(context, bytes)
  primitives.poly1305Update(context, bytes.subarray(BLOCK_BYTES), plain.length + TAG_BYTES)
  primitives.poly1305Final(context, bytes.subarray(BLOCK_BYTES + plain.length))
  return bytes.subarray(BLOCK_BYTES).equals(right)
}

/**
 * The bytes of a block of the key stream. The first block, before the message's, keys Poly1305 (RFC 8439, 2.6).
 */
const BLOCK_BYTES = 64

/** V8 keeps smaller arrays on its own heap, where it moves them. */
const UNMOVED_BYTES = 128

function newContext(primitives: Primitives): Uint8Array {
  return new Uint8Array(Math.max(UNMOVED_BYTES, primitives.contextBytes()))
}

/**
 * Before the message there is a block of zeros, {@link SEALING_SLOT_SKEW} bytes. It becomes the first block of
 * the key stream. Behind the message, the lengths for Poly1305 lie where the tag will be.
 */
export class PrimitiveAead implements Aead {
  readonly #primitives: Primitives
  readonly #memory: NativeMemory
  readonly #copy: AeadOptions['copy']
  readonly #at: number
  /** The addresses of the slots. A slot's plain bytes are where the next slot begins. */
  readonly #addresses: readonly unknown[]
  readonly #keys: number
  readonly #lent: boolean
  readonly #keyAddresses: bigint[] = []
  readonly #context: Uint8Array
  readonly #contextAddress: bigint
  readonly #counter: number
  readonly #counterAddress: bigint
  readonly #tag: number
  readonly #tagAddress: bigint

  /** @param lent whether another thread sets the keys */
  constructor(primitives: Primitives, options: AeadOptions, lent = false) {
    const { memory, at, scratch, keys, copy } = options
    this.#primitives = primitives
    this.#memory = memory
    this.#copy = copy
    this.#at = at
    this.#keys = keys
    this.#lent = lent
    this.#addresses = slotAddresses(options)
    this.#context = newContext(primitives)
    this.#contextAddress = koffi.address(this.#context)
    this.#counter = scratch
    this.#counterAddress = memory.address(scratch)
    this.#tag = scratch + 64
    this.#tagAddress = memory.address(this.#tag)
    memory.u8.fill(0, scratch, scratch + 4 + NONCE_BYTES)
  }

  setKey(keySlot: number, key: number, _sealing: boolean): void {
    const own = this.#keys + keySlot * KEY_BYTES
    this.#memory.u8.copyWithin(own, key, key + KEY_BYTES)
    this.#keyAddresses[keySlot] = this.#memory.address(own)
  }

  clearKey(keySlot: number): void {
    const own = this.#keys + keySlot * KEY_BYTES
    this.#memory.u8.fill(0, own, own + KEY_BYTES)
    this.#keyAddresses[keySlot] = 0n
  }

  seal(keySlot: number, high: number, low: number, slot: number, bytes: number): void {
    const block = this.#addresses[slot] as bigint
    const plain = this.#at + slot * SEALING_SLOT_BYTES + SEALING_SLOT_SKEW
    this.#clearBlock(plain - BLOCK_BYTES)
    this.#xor(keySlot, high, low, block, block, bytes)
    this.#authenticate(block, slot, bytes)
    this.#clearBlock(plain - BLOCK_BYTES)
    this.#copy(plain + bytes, this.#tag, TAG_BYTES)
  }

  open(keySlot: number, high: number, low: number, at: number, bytes: number): boolean {
    const length = bytes - TAG_BYTES
    const sealed = this.#at + OPENING_SLOTS.sealed * SEALING_SLOT_BYTES + SEALING_SLOT_SKEW
    const plain = this.#at + OPENING_SLOTS.plain * SEALING_SLOT_BYTES + SEALING_SLOT_SKEW
    const block = this.#addresses[OPENING_SLOTS.plain] as bigint
    this.#copy(sealed, at, length)
    this.#xor(keySlot, high, low, block, this.#addresses[OPENING_SLOTS.sealed] as bigint, length)
    this.#authenticate(block, OPENING_SLOTS.sealed, length)
    this.#clearBlock(plain - BLOCK_BYTES)
    if (!this.#isTag(at + length)) return false
    this.#copy(at, plain, length)
    return true
  }

  /**
   * Encrypts the block of zeros and the `bytes` bytes of the message behind it. The block becomes the key
   * stream's first.
   */
  #xor(keySlot: number, high: number, low: number, out: bigint, from: bigint, bytes: number): void {
    this.#memory.u32[(this.#counter + 8) >>> 2] = low
    this.#memory.u32[(this.#counter + 12) >>> 2] = high
    if (this.#lent) this.#keyAddresses[keySlot] ??= this.#memory.address(this.#keys + keySlot * KEY_BYTES)
    const key = this.#keyAddresses[keySlot]
    this.#primitives.chacha20(out, from, BLOCK_BYTES + bytes, key, this.#counterAddress)
  }

  /** Computes the tag of the `bytes` bytes in a slot. Writes behind them. */
  #authenticate(key: bigint, slot: number, bytes: number): void {
    const { u8, u32 } = this.#memory
    const sealed = this.#at + slot * SEALING_SLOT_BYTES + SEALING_SLOT_SKEW
    const padded = (bytes + 15) & -16
    for (let i = bytes; i < padded; i++) u8[sealed + i] = 0
    const lengths = (sealed + padded) >>> 2
    u32[lengths] = 0
    u32[lengths + 1] = 0
    u32[lengths + 2] = bytes
    u32[lengths + 3] = 0
    this.#primitives.poly1305Init(this.#contextAddress, key)
    const address = this.#addresses[slot + SEALING_SLOT_SKEW / SEALING_SLOT_BYTES] as bigint
    this.#primitives.poly1305Update(this.#contextAddress, address, padded + 16)
    this.#primitives.poly1305Final(this.#contextAddress, this.#tagAddress)
  }

  /** Compares the tags in constant time. */
  #isTag(at: number): boolean {
    const { view } = this.#memory
    let differences = 0
    for (let i = 0; i < TAG_BYTES; i += 4) differences |= view.getInt32(at + i) ^ view.getInt32(this.#tag + i)
    return differences === 0
  }

  #clearBlock(at: number): void {
    const { u32 } = this.#memory
    const word = at >>> 2
    for (let i = 0; i < BLOCK_BYTES / 4; i++) u32[word + i] = 0
  }
}
