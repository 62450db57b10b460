import type { NativeMemory } from '../../linux/memory.js'
import { C } from '../../memory/counters.js'
import type { Drops } from '../../memory/drops.js'
import { NAME } from '../../memory/name.js'
import { P, PEER_STRIDE } from '../../memory/peer-counters.js'
import { RELAY_HEADER_BYTES } from '../../wire/relay.js'
import { MESSAGE, TRANSPORT_HEADER_BYTES } from '../../wire/wireguard.js'
import type { Keyring } from '../keyring.js'
import type { Gate } from './gate.js'
import { RELAYED_MIN_BYTES, type Relayed } from './relayed.js'

export interface OpenerOptions {
  readonly memory: NativeMemory
  readonly keyring: Keyring
  /** Receives handshake messages. */
  readonly gate: Gate
  readonly counters: Float64Array
  readonly peerCounters: Float64Array
  readonly drops: Drops
  /** Takes the headers of relayed messages. */
  readonly relayed?: Relayed | undefined
}

/** Opens messages from the network in a private tunnel, in place, and passes handshake messages to the gate. */
export class Opener {
  readonly #memory: NativeMemory
  readonly #keyring: Keyring
  readonly #gate: Gate
  readonly #counters: Float64Array
  readonly #peerCounters: Float64Array
  readonly #drops: Drops
  readonly #relayed: Relayed | undefined

  constructor(options: OpenerOptions) {
    this.#memory = options.memory
    this.#keyring = options.keyring
    this.#gate = options.gate
    this.#counters = options.counters
    this.#peerCounters = options.peerCounters
    this.#drops = options.drops
    this.#relayed = options.relayed
  }

  /**
   * Opens the messages from `at` on. Each is `step` bytes long, the last may be shorter. Before each frame it
   * writes the two words that record.ts describes.
   * @param name offset of the name that they are from
   * @param dsField of their datagrams
   * @returns whether there is anything for the device
   */
  open(at: number, bytes: number, step: number, name: number, dsField = 0): boolean {
    const { view } = this.#memory
    if (this.#relayed !== undefined) this.#relayed.dsField = dsField
    let any = false
    for (let done = 0; done < bytes; done += step) {
      const message = at + done
      const length = Math.min(step, bytes - done)
      if (length < MIN_BYTES) {
        // Also too short for the two words. Only the last message can be this short.
        this.#drops.ofNobody(C.dropNotPrivate, 1)
        for (let i = 0; i < length; i++) view.setUint8(message + i, 0)
        continue
      }
      const frameBytes = this.#take(message, length, name)
      view.setUint32(message, frameBytes, true)
      view.setUint32(message + 4, this.#keyring.row, true)
      if (frameBytes > 0) any = true
    }
    return any
  }

  /** Bytes of the frame in a message, 0 for none. */
  #take(message: number, bytes: number, name: number): number {
    const type = this.#memory.view.getUint32(message, true)
    if (type !== MESSAGE.transport) {
      if (type === MESSAGE.relay && bytes >= RELAYED_MIN_BYTES && this.#relayed !== undefined)
        return this.#takeRelayed(this.#relayed, message, bytes, name)
      this.#gate.take(message, bytes, name)
      return 0
    }
    const opened = this.#keyring.open(message, bytes, name)
    if (opened < 0) {
      this.#drops.ofNobody(-1 - opened, 1)
      return 0
    }
    const at = this.#keyring.row * PEER_STRIDE
    if (this.#memory.u32[(name + NAME.via) >>> 2] !== 0) this.#peerCounters[at + P.receivedRelayed]++
    if (opened === 0) {
      const { checkBytes, row } = this.#keyring
      if (checkBytes !== 0) {
        this.#keyring.checkBytes = 0
        // It says nothing of the way in use, so it does not count as heard.
        this.#gate.passCheck(message + TRANSPORT_HEADER_BYTES, checkBytes, name, row)
        return 0
      }
      this.#peerCounters[at + P.receivedKeepalives]++
      return 0
    }
    this.#counters[C.receivedFrames]++
    this.#counters[C.receivedBytes] += bytes
    this.#peerCounters[at + P.receivedFrames]++
    this.#peerCounters[at + P.receivedBytes] += bytes
    return opened
  }

  /** The same for a relayed message. Its frame goes where that of another message would be. */
  #takeRelayed(relayed: Relayed, message: number, bytes: number, name: number): number {
    if (!relayed.take(message, bytes, name)) return 0
    const inner = message + RELAY_HEADER_BYTES
    const opened = this.#take(inner, bytes - RELAY_HEADER_BYTES, relayed.name)
    if (opened > 0) {
      const frame = inner + TRANSPORT_HEADER_BYTES
      this.#memory.u8.copyWithin(message + TRANSPORT_HEADER_BYTES, frame, frame + opened)
    }
    return opened
  }

  /** Sends what is to be relayed. Its bytes are not needed any more after that. */
  flush(): void {
    this.#relayed?.flush()
  }
}

/** The shortest message of any kind, in bytes. */
const MIN_BYTES = 32
