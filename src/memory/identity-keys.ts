import { KEY_BYTES } from '../crypto/ciphers.js'
import type { NativeMemory } from '../linux/memory.js'

const COPY_BYTES = 2 * KEY_BYTES
const VERSION = 0
/** Where the copies begin. The word before them has a cache line of its own. */
const COPIES = 64

export const IDENTITY_KEYS_BYTES = COPIES + 2 * COPY_BYTES

/**
 * The keys of mac1 and of cookies that follow from this host's public key, while the tunnel runs: main writes them, and
 * the udp worker reads them. There are two copies, and a version says which of them is valid. Main writes the other one,
 * and only when both workers have repeated the epoch (epoch.ts) of the version before. So nobody reads a copy while it
 * is written. Version 0 is what the workers were started with.
 */
export class IdentityKeys {
  readonly #memory: NativeMemory
  readonly #at: number
  readonly #word: number

  /** @param at offset of {@link IDENTITY_KEYS_BYTES} bytes, a multiple of 64, all zeros at first */
  constructor(memory: NativeMemory, at: number) {
    this.#memory = memory
    this.#at = at
    this.#word = (at + VERSION) >>> 2
  }

  /** It wraps at 2^32. */
  get version(): number {
    return Atomics.load(this.#memory.i32, this.#word)
  }

  /** Main. @param mac1 and `cookie`: 32 bytes each */
  publish(mac1: Uint8Array, cookie: Uint8Array): void {
    const version = (this.version + 1) | 0
    this.#memory.u8.set(mac1, this.mac1(version))
    this.#memory.u8.set(cookie, this.cookie(version))
    Atomics.store(this.#memory.i32, this.#word, version)
  }

  /** Worker: the offset of the key of mac1, of a version that was read since main has rung. */
  mac1(version: number): number {
    return this.#at + COPIES + (version & 1) * COPY_BYTES
  }

  /** Worker: the offset of the key of cookies. */
  cookie(version: number): number {
    return this.mac1(version) + KEY_BYTES
  }
}
