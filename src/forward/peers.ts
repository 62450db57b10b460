import type { NativeMemory } from '../linux/memory.js'
import { SOCKADDR_BYTES } from '../linux/sockaddr.js'

/**
 * The peers' socket addresses in shared memory: main writes, workers read and hand the rows to the kernel.
 *
 * A row is a cache line for each of two addresses, and a word that says which holds: a change is written to
 * the other one and then switched to, so that no reader ever sees half of it. An address is all zero, family
 * included, until there is one.
 */
const SLOT_BYTES = 64
const ROW_BYTES = 3 * SLOT_BYTES
const SOCKADDR_WORDS = SOCKADDR_BYTES / 4

export function peerTableBytes(rows: number): number {
  return rows * ROW_BYTES
}

export class PeerTable {
  readonly #memory: NativeMemory
  readonly #at: number

  /** @param at offset of the table in `memory`, a multiple of 64 */
  constructor(memory: NativeMemory, at: number) {
    this.#memory = memory
    this.#at = at
  }

  /** Main: gives peer `index` this address, as `encodeSockaddr` makes it. */
  setAddress(index: number, sockaddr: Uint8Array): void {
    const row = this.#at + index * ROW_BYTES
    const which = (row + 2 * SLOT_BYTES) >>> 2
    const next = 1 - Atomics.load(this.#memory.i32, which)
    this.#memory.u8.set(sockaddr, row + next * SLOT_BYTES)
    Atomics.store(this.#memory.i32, which, next)
  }

  /** Offset in the memory of peer `index`'s present address. */
  address(index: number): number {
    const row = this.#at + index * ROW_BYTES
    return row + Atomics.load(this.#memory.i32, (row + 2 * SLOT_BYTES) >>> 2) * SLOT_BYTES
  }

  /** Whether the name at offset `name` in the memory, zeros behind a short one, is peer `index`'s address. */
  isFrom(index: number, name: number): boolean {
    const u32 = this.#memory.u32
    const a = this.address(index) >>> 2
    const b = name >>> 2
    for (let word = 0; word < SOCKADDR_WORDS; word++) if (u32[a + word] !== u32[b + word]) return false
    return true
  }
}
