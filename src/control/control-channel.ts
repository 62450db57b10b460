import { randomBytes } from 'node:crypto'
import { EAGAIN, ENODEV } from '../linux/errno.js'
import { type Endpoint, encodeSockaddr } from '../linux/sockaddr.js'
import { sendDatagram, type UdpSocket } from '../linux/udp.js'
import type { Mailbox } from '../memory/mailbox.js'
import { type ControlMessage, controlAnswer, readControl, writeControl } from '../wire/control.js'
import type { DeviceMode } from '../wire/mode.js'
import type { Faults } from './faults.js'
import { MailboxReader } from './mailbox-reader.js'

/** How many frames are taken in one turn of the event loop. */
const TURN_FRAMES = 64

/** How often we try while a worker sends in fragments. It does that for some ten microseconds at a time. */
const WHOLE_TRIES = 200

/** What main does with control frames. */
export interface ControlListener {
  /** The endpoint of peer `index`; undefined if the peer is gone. */
  endpointOf(index: number): Endpoint | undefined
  /**
   * A peer has sent a message in a frame of `bytes` bytes. If it asks for an answer, the answer has been sent.
   */
  said(index: number, message: ControlMessage, bytes: number): void
  /** A worker may have left news elsewhere, too. */
  woken(): void
  /** A frame has come that is no control frame of this version. */
  malformed(): void
  /**
   * The datagram for a frame in a private tunnel; undefined while there is no key for it. Absent if the tunnel
   * is not private, because a datagram is then the frame itself.
   */
  readonly seal?: (peer: number, frame: Uint8Array) => Uint8Array | undefined
}

/** Main exchanges control frames with other ends over the data socket. Never blocks. */
export class ControlChannel {
  readonly #mode: DeviceMode
  readonly #socket: UdpSocket
  readonly #reader: MailboxReader
  readonly #listener: ControlListener
  /**
   * A word that changes whenever a worker begins or stops to send datagrams that may be fragmented. It is odd
   * while a worker does so (worker/outbound/path-policy.ts).
   */
  readonly #fragmenting: Int32Array

  constructor(
    mode: DeviceMode,
    socket: UdpSocket,
    queue: Mailbox,
    fragmenting: Int32Array,
    faults: Faults,
    listener: ControlListener,
  ) {
    this.#mode = mode
    this.#fragmenting = fragmenting
    this.#socket = socket
    this.#listener = listener
    const hear = (peer: number, head: Uint8Array, bytes: number) => this.#hear(peer, head, bytes)
    this.#reader = new MailboxReader(queue, faults, 'control', TURN_FRAMES, hear, () => listener.woken())
  }

  /**
   * Sends a control frame to a peer.
   * @param peer its number
   * @param bytes the frame's length; by default the shortest
   * @returns 0, or the errno of a failed send
   */
  send(peer: number, to: Endpoint, message: ControlMessage, bytes?: number): number {
    const { seal } = this.#listener
    const plain = writeControl(this.#mode, message, bytes)
    const frame = seal === undefined ? plain : seal(peer, plain)
    // A frame that cannot be sealed counts as lost on the way.
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
   * Sends a control frame of `bytes` bytes in one datagram.
   * @returns false if there was no room for it, or if it may have been fragmented because a worker sends such
   *   datagrams just now
   */
  sendWhole(peer: number, to: Endpoint, message: ControlMessage, bytes: number): boolean {
    for (let tries = 0; tries < WHOLE_TRIES; tries++) {
      const before = Atomics.load(this.#fragmenting, 0)
      if ((before & 1) !== 0) continue
      const errno = this.send(peer, to, message, bytes)
      // What an interface drops is different: nobody is told, and it counts as lost on the way.
      if (errno === EAGAIN) return false
      if (Atomics.load(this.#fragmenting, 0) === before) return true
    }
    return false
  }

  /** Must be called when a worker says that there is something. */
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

/** 64 random bits. An answer repeats the token of its question. */
export function newToken(): bigint {
  return randomBytes(8).readBigUInt64BE()
}
