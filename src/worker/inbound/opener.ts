import type { NativeMemory } from '../../linux/memory.js'
import { C } from '../../memory/counters.js'
import { CryptoWord } from '../../memory/crypto-batch.js'
import type { Drops } from '../../memory/drops.js'
import { NAME } from '../../memory/name.js'
import { P, PEER_STRIDE } from '../../memory/peer-counters.js'
import { RELAY_HEADER_BYTES } from '../../wire/relay.js'
import { MESSAGE, TRANSPORT, TRANSPORT_HEADER_BYTES, TRANSPORT_OVERHEAD_BYTES } from '../../wire/wireguard.js'
import type { Spread } from '../crypto/spread.js'
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
  /** Opens runs with the help of others, if there are crypto workers. */
  readonly spread?: Spread | undefined
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
  readonly #spread: Spread | undefined

  constructor(options: OpenerOptions) {
    this.#memory = options.memory
    this.#keyring = options.keyring
    this.#gate = options.gate
    this.#counters = options.counters
    this.#peerCounters = options.peerCounters
    this.#drops = options.drops
    this.#relayed = options.relayed
    this.#spread = options.spread
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
    const spread = bytes > step ? this.#spread : undefined
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
      if (spread !== undefined && view.getUint32(message, true) === MESSAGE.transport) {
        if (spread.batch.full && this.#openSpread(spread, name)) any = true
        this.#put(spread, message, length)
      } else if (this.#done(message, this.#take(message, length, name))) any = true
    }
    if (spread !== undefined && this.#openSpread(spread, name)) any = true
    return any
  }

  /** Writes the two words before a frame of `frameBytes` bytes. Whether there is one. */
  #done(message: number, frameBytes: number): boolean {
    const { view } = this.#memory
    view.setUint32(message, frameBytes, true)
    view.setUint32(message + 4, this.#keyring.row, true)
    return frameBytes > 0
  }

  /** Puts transport data into the batch of those that others help to open. What cannot be opened is dropped at once. */
  #put({ batch }: Spread, message: number, bytes: number): void {
    const keyRow = bytes < TRANSPORT_OVERHEAD_BYTES ? -1 - C.dropNotPrivate : this.#keyring.find(message)
    if (keyRow < 0) {
      this.#done(message, this.#drop(keyRow))
      return
    }
    const { u32, view } = this.#memory
    const entry = batch.add()
    u32[entry + CryptoWord.at] = message + TRANSPORT_HEADER_BYTES
    u32[entry + CryptoWord.bytes] = bytes - TRANSPORT_HEADER_BYTES
    u32[entry + CryptoWord.keySlot] = keyRow * 2 + 1
    u32[entry + CryptoWord.low] = view.getUint32(message + TRANSPORT.counter, true)
    u32[entry + CryptoWord.high] = view.getUint32(message + TRANSPORT.counter + 4, true)
    u32[entry + CryptoWord.header] = message
    u32[entry + CryptoWord.mark] = this.#keyring.generation
  }

  /** Opens the batch, and finishes each of its messages in order. Whether there is anything for the device. */
  #openSpread(spread: Spread, name: number): boolean {
    const { batch } = spread
    const { count } = batch
    if (count === 0) return false
    spread.run()
    let any = false
    for (let index = 0; index < count; index++) if (this.#finish(batch.entry(index), name)) any = true
    batch.count = 0
    return any
  }

  #finish(entry: number, name: number): boolean {
    const { u32 } = this.#memory
    const message = u32[entry + CryptoWord.header]
    const bytes = u32[entry + CryptoWord.bytes] + TRANSPORT_HEADER_BYTES
    const keyRow = u32[entry + CryptoWord.keySlot] >>> 1
    const generation = u32[entry + CryptoWord.mark]
    const opened =
      u32[entry + CryptoWord.opened] === 0
        ? -1 - C.dropNotAuthentic
        : this.#keyring.opened(message, bytes, keyRow, generation, name)
    return this.#done(message, opened < 0 ? this.#drop(opened) : this.#count(message, bytes, opened, name))
  }

  /** Counts a message that was dropped. @param opened what the keyring has returned */
  #drop(opened: number): number {
    this.#drops.ofNobody(-1 - opened, 1)
    return 0
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
    return opened < 0 ? this.#drop(opened) : this.#count(message, bytes, opened, name)
  }

  /** Counts a message that was opened, and passes on what is for main. Bytes of the frame in it, 0 for none. */
  #count(message: number, bytes: number, opened: number, name: number): number {
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
      // The message was counted without it. Whoever takes a message back takes all of it back.
      this.#counters[C.receivedBytes] += RELAY_HEADER_BYTES
      this.#peerCounters[this.#keyring.row * PEER_STRIDE + P.receivedBytes] += RELAY_HEADER_BYTES
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
