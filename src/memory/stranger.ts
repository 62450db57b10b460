import type { NativeMemory } from '../linux/memory.js'
import { SOCKADDR_BYTES } from '../linux/sockaddr.js'

/** A word that says whether something has been noted, and behind it a socket address. */
const ADDRESS_AT = 4

export const STRANGER_BYTES = ADDRESS_AT + SOCKADDR_BYTES

/**
 * One sender that is no peer, of those that the udp worker has met since main last looked: a sample, for main to
 * find out whether it is a host that it knows.
 */
export class Stranger {
  readonly #memory: NativeMemory
  readonly #at: number

  /** @param at offset of {@link STRANGER_BYTES} bytes, a multiple of 4 */
  constructor(memory: NativeMemory, at: number) {
    this.#memory = memory
    this.#at = at
  }

  /** The udp worker: something has come from the socket address at offset `name`. The first one is kept. */
  note(name: number): void {
    const { i32, u8 } = this.#memory
    if (Atomics.load(i32, this.#at >>> 2) === 1) return
    u8.copyWithin(this.#at + ADDRESS_AT, name, name + SOCKADDR_BYTES)
    Atomics.store(i32, this.#at >>> 2, 1)
  }

  /** Main: the socket address that was noted since the last time; undefined if there was none. */
  take(): Uint8Array | undefined {
    const { i32, u8 } = this.#memory
    if (Atomics.load(i32, this.#at >>> 2) === 0) return undefined
    const sockaddr = u8.slice(this.#at + ADDRESS_AT, this.#at + STRANGER_BYTES)
    Atomics.store(i32, this.#at >>> 2, 0)
    return sockaddr
  }
}
