import type { Mac } from '../linux/ciphers.js'
import type { NativeMemory } from '../linux/memory.js'
import { SOCKADDR_BYTES } from '../linux/sockaddr.js'
import { COOKIE_REPLY, INITIATION, MAC_BYTES, MESSAGE, RESPONSE } from '../wire/wireguard.js'
import type { ControlQueue } from './control-queue.js'
import { C } from './counters.js'
import type { Keyring } from './keyring.js'
import { P, PEER_STRIDE } from './peer-counters.js'
import type { PeerTable } from './peers.js'

export interface OpenerOptions {
  readonly memory: NativeMemory
  readonly keyring: Keyring
  readonly peers: PeerTable
  /** Of mac1 in messages to this end. */
  readonly mac1: Mac
  /** Where handshake messages go, each with the socket address that it came from behind it, and the peer there. */
  readonly handshakes: ControlQueue
  readonly tellMain: () => void
  /** Offset of room for a handshake message and an address. */
  readonly scratch: number
  readonly counters: Float64Array
  readonly peerCounters: Float64Array
}

/** What {@link OpenerOptions.scratch} must have room for. */
export const OPENER_SCRATCH_BYTES = 256

/** Opens what comes from the network in a private tunnel, where it lies, and passes handshakes on to main. */
export class Opener {
  readonly #options: OpenerOptions
  readonly #memory: NativeMemory
  readonly #keyring: Keyring
  readonly #counters: Float64Array
  readonly #peerCounters: Float64Array

  constructor(options: OpenerOptions) {
    this.#options = options
    this.#memory = options.memory
    this.#keyring = options.keyring
    this.#counters = options.counters
    this.#peerCounters = options.peerCounters
  }

  /**
   * Opens the messages that lie from `at` on, each `step` bytes long but the last, and says before each what is
   * in it, as record.ts has it.
   * @param name offset of the socket address that they are from
   * @returns whether there is anything for the device
   */
  open(at: number, bytes: number, step: number, name: number): boolean {
    const { view } = this.#memory
    let any = false
    for (let done = 0; done < bytes; done += step) {
      const message = at + done
      const length = Math.min(step, bytes - done)
      if (length < MIN_BYTES) {
        // Too short for the two words as well: it is the last.
        this.#counters[C.dropNotPrivate]++
        for (let i = 0; i < length; i++) view.setUint8(message + i, 0)
        continue
      }
      const frameBytes = this.#take(message, length, name)
      view.setUint32(message, frameBytes, true)
      view.setUint32(message + 4, this.#keyring.peer, true)
      if (frameBytes > 0) any = true
    }
    return any
  }

  /** Bytes of the frame in a message, 0 for none. */
  #take(message: number, bytes: number, name: number): number {
    const type = this.#memory.view.getUint32(message, true)
    if (type !== MESSAGE.transport) {
      this.#passOn(type, message, bytes, name)
      return 0
    }
    const opened = this.#keyring.open(message, bytes, name)
    if (opened < 0) {
      this.#counters[-1 - opened]++
      return 0
    }
    const at = this.#keyring.peer * PEER_STRIDE
    if (opened === 0) {
      this.#peerCounters[at + P.receivedKeepalives]++
      return 0
    }
    this.#counters[C.receivedFrames]++
    this.#counters[C.receivedBytes] += bytes
    this.#peerCounters[at + P.receivedFrames]++
    this.#peerCounters[at + P.receivedBytes] += bytes
    return opened
  }

  /** Main is to see handshake messages alone, and of those that have a mac1 only such as know this end's key. */
  #passOn(type: number, message: number, bytes: number, name: number): void {
    if (bytes !== sizeOf(type)) {
      this.#counters[C.dropNotPrivate]++
      return
    }
    const { mac1, handshakes, peers, tellMain, scratch } = this.#options
    if (type !== MESSAGE.cookieReply) {
      const unsealed = bytes - 2 * MAC_BYTES
      if (!mac1.isRight(message, unsealed, message + unsealed)) {
        this.#counters[C.dropWrongMac1]++
        return
      }
    }
    const { u8 } = this.#memory
    u8.copyWithin(scratch, message, message + bytes)
    u8.copyWithin(scratch + bytes, name, name + SOCKADDR_BYTES)
    const peer = peers.find(name)
    const share = peer >= 0 ? 1 : STRANGERS_SHARE
    if (!handshakes.put(scratch, bytes + SOCKADDR_BYTES, peer, share)) this.#counters[C.dropHandshakesFull]++
    if (handshakes.mustTell()) tellMain()
  }
}

/** Of the queue of handshakes, what a flood of them can fill: those from where a peer is find room. */
const STRANGERS_SHARE = 0.25

/** No message of any kind is shorter. */
const MIN_BYTES = 32

function sizeOf(type: number): number {
  switch (type) {
    case MESSAGE.initiation:
      return INITIATION.size
    case MESSAGE.response:
      return RESPONSE.size
    case MESSAGE.cookieReply:
      return COOKIE_REPLY.size
    default:
      return -1
  }
}
