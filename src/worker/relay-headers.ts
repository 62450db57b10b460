import { SEALING_SLOT_SKEW, TAG_BYTES } from '../crypto/ciphers.js'
import type { NativeMemory } from '../linux/memory.js'
import type { RelayTable } from '../memory/relay-table.js'
import { NAME_MASK, RELAY, RELAY_NAME_BYTES, TO_INTRODUCER } from '../wire/relay.js'
import { MESSAGE } from '../wire/wireguard.js'
import type { Keyring } from './keyring.js'

export interface RelayHeadersOptions {
  readonly memory: NativeMemory
  /** Of its own, because it takes the numbers for one peer at a time. */
  readonly keyring: Keyring
  readonly table: RelayTable
  /** Offset of the keyring's slot. */
  readonly slot: number
}

const SEALED_WORDS = (RELAY_NAME_BYTES + TAG_BYTES) / 4

/** Writes the headers of relayed messages (wire/relay.ts), with the keys of the hop. */
export class RelayHeaders {
  readonly #memory: NativeMemory
  readonly #keyring: Keyring
  readonly #table: RelayTable
  readonly #plain: number

  constructor({ memory, keyring, table, slot }: RelayHeadersOptions) {
    this.#memory = memory
    this.#keyring = keyring
    this.#table = table
    this.#plain = (slot + SEALING_SLOT_SKEW) >>> 2
  }

  /**
   * Writes the header of a message for the peer in the row `far`, to the introducer in the row `via`.
   * @param at offset of the header, a multiple of 4
   * @returns false if there is no key
   */
  toIntroducer(via: number, far: number, at: number): boolean {
    return this.#write(via, far, TO_INTRODUCER, at)
  }

  /** Writes the header of a message from the peer in the row `from`, to the member in the row `to`. */
  toMember(to: number, from: number, at: number): boolean {
    return this.#write(to, from, 0, at)
  }

  #write(hop: number, named: number, direction: number, at: number): boolean {
    const { i32 } = this.#memory
    const plain = this.#plain
    i32[plain] = this.#table.low(named)
    i32[plain + 1] = (this.#table.high(named) & NAME_MASK) | direction
    if (!this.#keyring.seal(hop, at, 0, RELAY_NAME_BYTES, MESSAGE.relay)) return false
    const to = (at + RELAY.name) >>> 2
    for (let word = 0; word < SEALED_WORDS; word++) i32[to + word] = i32[plain + word]
    return true
  }
}
