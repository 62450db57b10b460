import { randomBytes } from 'node:crypto'
import { EAGAIN, ENODEV } from '../linux/errno.js'
import { type Endpoint, encodeSockaddr } from '../linux/sockaddr.js'
import { sendDatagram, type UdpSocket } from '../linux/udp.js'
import type { ControlQueue } from '../memory/mailbox.js'
import { type ControlMessage, controlAnswer, readControl, writeControl } from '../wire/control.js'
import type { DeviceMode } from '../wire/mode.js'
import type { Faults } from './faults.js'
import { QueueReader } from './queue-reader.js'

/** Frames taken in one turn of the event loop. */
const TURN_FRAMES = 64

/** A worker that sends in fragments does so for some ten microseconds at a time. */
const WHOLE_TRIES = 200

/** What main does with control frames. */
export interface ControlListener {
  /** Where peer `index` is; undefined for one that is no more. */
  endpointOf(index: number): Endpoint | undefined
  /** A peer has said something in a frame of `bytes`; what asks for an answer has been given one. */
  said(index: number, message: ControlMessage, bytes: number): void
  /** A worker may have left word elsewhere, too. */
  woken(): void
  /** Something that is no control frame of this version. */
  malformed(): void
  /**
   * The datagram that a frame becomes in a private tunnel, undefined while there is no key for it; absent where
   * a frame is a datagram as it is.
   */
  readonly seal?: (peer: number, frame: Uint8Array) => Uint8Array | undefined
}

/** Main's talk with other ends by control frames, over the data socket; never blocks. */
export class ControlChannel {
  readonly #mode: DeviceMode
  readonly #socket: UdpSocket
  readonly #reader: QueueReader
  readonly #listener: ControlListener
  /** A word that changes whenever datagrams begin or end to be fragmented, odd while they may be (pathPolicy.ts). */
  readonly #fragmenting: Int32Array

  constructor(
    mode: DeviceMode,
    socket: UdpSocket,
    queue: ControlQueue,
    fragmenting: Int32Array,
    faults: Faults,
    listener: ControlListener,
  ) {
    this.#mode = mode
    this.#fragmenting = fragmenting
    this.#socket = socket
    this.#listener = listener
    const hear = (peer: number, head: Uint8Array, bytes: number) => this.#hear(peer, head, bytes)
    this.#reader = new QueueReader(queue, faults, 'control', TURN_FRAMES, hear, () => listener.woken())
  }

  /**
   * Sends a control frame to a peer, by its number, and where it is.
   * @param bytes of the frame; without, the shortest
   * @returns 0, or the errno of a send that failed
   */
  send(peer: number, to: Endpoint, message: ControlMessage, bytes?: number): number {
    const { seal } = this.#listener
    const plain = writeControl(this.#mode, message, bytes)
    const frame = seal === undefined ? plain : seal(peer, plain)
    // What cannot be sealed is lost, as on a way that loses it.
    if (frame === undefined) return 0
    let name: Uint8Array
    try {
      name = encodeSockaddr(this.#socket.family, to)
    } catch {
      // The interface of a link-local address is gone for now.
      return ENODEV
    }
    return sendDatagram(this.#socket, frame, name)
  }

  /**
   * Sends a control frame of `bytes` in one datagram.
   * @returns false where it could not be told that it was not in fragments, for a worker sends such just now, or
   * where there was no room for it
   */
  sendWhole(peer: number, to: Endpoint, message: ControlMessage, bytes: number): boolean {
    for (let tries = 0; tries < WHOLE_TRIES; tries++) {
      const before = Atomics.load(this.#fragmenting, 0)
      if ((before & 1) !== 0) continue
      const errno = this.send(peer, to, message, bytes)
      // Not so what the way out drops, of which nobody is told: that is a loss like any other.
      if (errno === EAGAIN) return false
      if (Atomics.load(this.#fragmenting, 0) === before) return true
    }
    return false
  }

  /** To be called when a worker says that there is something. */
  wake(): void {
    this.#reader.wake()
  }

  close(): void {
    this.#reader.close()
  }

  #hear(peer: number, head: Uint8Array, bytes: number): void {
    const message = readControl(this.#mode, head, bytes)
    if (message === undefined) {
      this.#listener.malformed()
      return
    }
    const endpoint = this.#listener.endpointOf(peer)
    if (endpoint === undefined) return
    const answer = controlAnswer(message, bytes)
    if (answer !== undefined) this.send(peer, endpoint, answer)
    this.#listener.said(peer, message, bytes)
  }
}

/** 64 random bits, by which an answer is known to be to this question. */
export function newToken(): bigint {
  return randomBytes(8).readBigUInt64BE()
}
