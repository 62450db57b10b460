import type { NativeMemory } from '../../linux/memory.js'
import { C } from '../../memory/counters.js'
import type { Drops } from '../../memory/drops.js'
import { P, PEER_STRIDE } from '../../memory/peer-counters.js'
import { MESSAGE, TRANSPORT_HEADER_BYTES } from '../../wire/wireguard.js'
import type { Keyring } from '../keyring.js'
import type { Gate } from './gate.js'

export interface OpenerOptions {
  readonly memory: NativeMemory
  readonly keyring: Keyring
  /** Receives handshake messages. */
  readonly gate: Gate
  readonly counters: Float64Array
  readonly peerCounters: Float64Array
  readonly drops: Drops
}

/** Opens messages from the network in a private tunnel, in place, and passes handshake messages to the gate. */
export class Opener {
  readonly #memory: NativeMemory
  readonly #keyring: Keyring
  readonly #gate: Gate
  readonly #counters: Float64Array
  readonly #peerCounters: Float64Array
  readonly #drops: Drops

  constructor(options: OpenerOptions) {
    this.#memory = options.memory
    this.#keyring = options.keyring
    this.#gate = options.gate
    this.#counters = options.counters
    this.#peerCounters = options.peerCounters
    this.#drops = options.drops
  }

  /**
   * Opens the messages from `at` on. Each is `step` bytes long, the last may be shorter. Before each frame it
   * writes the two words that record.ts describes.
   * @param name offset of the name that they are from
   * @returns whether there is anything for the device
   */
  open(at: number, bytes: number, step: number, name: number): boolean {
    const { view } = this.#memory
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
    if (this.#memory.view.getUint32(message, true) !== MESSAGE.transport) {
      this.#gate.take(message, bytes, name)
      return 0
    }
    const opened = this.#keyring.open(message, bytes, name)
    if (opened < 0) {
      this.#drops.ofNobody(-1 - opened, 1)
      return 0
    }
    const at = this.#keyring.row * PEER_STRIDE
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
}

/** The shortest message of any kind, in bytes. */
const MIN_BYTES = 32
