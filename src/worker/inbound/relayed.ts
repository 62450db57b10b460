import type { NativeMemory } from '../../linux/memory.js'
import { C } from '../../memory/counters.js'
import type { Drops } from '../../memory/drops.js'
import { NAME } from '../../memory/name.js'
import { P, PEER_STRIDE } from '../../memory/peer-counters.js'
import { PART, type RelayTable } from '../../memory/relay-table.js'
import { NAME_MASK, RELAY, RELAY_HEADER_BYTES, TO_INTRODUCER } from '../../wire/relay.js'
import { MESSAGE } from '../../wire/wireguard.js'
import type { Keyring } from '../keyring.js'
import type { PassingOn } from './passing-on.js'

export interface RelayedOptions {
  readonly memory: NativeMemory
  readonly keyring: Keyring
  readonly table: RelayTable
  readonly drops: Drops
  readonly peerCounters: Float64Array
  /** What an introducer does with messages for others. */
  readonly passingOn: PassingOn
  /** Offset of {@link NAME_BYTES} zero bytes, a multiple of 4. */
  readonly name: number
}

/** The shortest relayed message: a header, and a keepalive. */
export const RELAYED_MIN_BYTES = RELAY_HEADER_BYTES + 32

/** Takes the headers of relayed messages: those of this host's introducers, and those that this host relays. */
export class Relayed {
  /** Offset of the name of the message behind the header taken last. */
  readonly name: number
  /** The DS field of the datagrams that are taken. */
  dsField = 0
  readonly #options: RelayedOptions
  readonly #memory: NativeMemory

  constructor(options: RelayedOptions) {
    this.#options = options
    this.#memory = options.memory
    this.name = options.name
  }

  /**
   * Takes the message at offset `message`, of {@link RELAYED_MIN_BYTES} or more.
   * @param name offset of the name that it is from
   * @returns whether it is for this host: then the message behind the header is from {@link name}
   */
  take(message: number, bytes: number, name: number): boolean {
    const { keyring, drops, peerCounters, passingOn } = this.#options
    const { view } = this.#memory
    const inner = view.getUint32(message + RELAY_HEADER_BYTES, true)
    // Nothing is relayed twice.
    if (inner < MESSAGE.initiation || inner > MESSAGE.transport) {
      drops.ofNobody(C.dropNotPrivate, 1)
      return false
    }
    const opened = keyring.openRelayHeader(message, name)
    if (opened < 0) {
      drops.ofNobody(-1 - opened, 1)
      return false
    }
    const hop = keyring.row
    peerCounters[hop * PEER_STRIDE + P.receivedKeepalives]++
    const low = view.getInt32(message + RELAY.name, true)
    const high = view.getInt32(message + RELAY.name + 4, true)
    if ((high & TO_INTRODUCER) === 0) return this.#isForThisHost(hop, low, high)
    const behind = message + RELAY_HEADER_BYTES
    passingOn.pass(hop, low, high & NAME_MASK, behind, bytes - RELAY_HEADER_BYTES, this.dsField)
    return false
  }

  #isForThisHost(via: number, low: number, high: number): boolean {
    const { table, drops } = this.#options
    const { u32 } = this.#memory
    if (!table.is(via, PART.introducer)) {
      drops.inbound(C.dropRelayUnasked, via, 1)
      return false
    }
    const far = table.find(low, high)
    if (far < 0 || !table.is(far, PART.far)) {
      drops.inbound(C.dropRelayUnknown, via, 1)
      return false
    }
    u32[(this.name + NAME.via) >>> 2] = via + 1
    u32[(this.name + NAME.far) >>> 2] = far
    return true
  }

  /** Sends what was passed on. */
  flush(): void {
    this.#options.passingOn.flush()
  }
}
