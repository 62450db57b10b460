import { EAGAIN } from '../linux/errno.js'
import { type ControlMessage, controlAnswer, readControl, writeControl } from '../wire/control.js'
import type { DeviceMode } from '../wire/mode.js'
import type { Faults } from './faults.js'
import { MailboxReader } from './mailbox-reader.js'
import type { Roster } from './peer/roster.js'
import type { Platform } from './platform.js'
import type { PrivateSide } from './private/private-side.js'
import type { Tables } from './tables.js'

/** How many frames are taken in one turn of the event loop. */
const TURN_FRAMES = 64

/** How often we try while a worker sends in fragments. It does that for some ten microseconds at a time. */
const WHOLE_TRIES = 200

export interface ControlChannelContext {
  readonly mode: DeviceMode
  readonly platform: Platform
  readonly tables: Tables
  readonly roster: Roster
  readonly faults: Faults
  /** Undefined if the tunnel is not private. A datagram is then the frame itself. */
  readonly privateSide: PrivateSide | undefined
}

/** Main exchanges control frames with other ends over the data socket. Never blocks. */
export class ControlChannel {
  readonly #context: ControlChannelContext
  readonly #reader: MailboxReader
  #listener: (row: number, message: ControlMessage) => void = () => {}
  /** What this end can do for the peer in a row, as its hellos say (wire/control.ts). */
  featuresFor: (row: number) => number = () => 0

  constructor(context: ControlChannelContext) {
    this.#context = context
    const { platform, tables, faults, privateSide } = context
    const hear = (row: number, head: Uint8Array, bytes: number) => this.#hear(row, head, bytes)
    // A worker may have left news elsewhere, too.
    const after = () => privateSide?.wake()
    this.#reader = new MailboxReader(
      platform.clock,
      tables.control,
      faults,
      'control',
      TURN_FRAMES,
      hear,
      after,
    )
  }

  /**
   * Sends a control frame to a peer.
   * @param bytes the frame's length; by default the shortest
   * @returns 0, or the errno of a failed send
   */
  send(row: number, message: ControlMessage, bytes?: number): number {
    const { mode, platform, privateSide, roster } = this.#context
    const name = roster.at(row)?.datagramName
    const plain = writeControl(mode, message, bytes)
    const frame = privateSide === undefined ? plain : privateSide.seal(row, plain)
    // A frame that cannot be sealed counts as lost on the way, and so does one for a peer that is nowhere.
    if (frame === undefined || name === undefined) return 0
    return platform.socket.send(frame, name)
  }

  /**
   * Sends a control frame of `bytes` bytes in one datagram.
   * @returns false if there was no room for it, or if it may have been fragmented because a worker sends such
   *   datagrams just now
   */
  sendWhole(row: number, message: ControlMessage, bytes: number): boolean {
    const { words } = this.#context.tables
    for (let tries = 0; tries < WHOLE_TRIES; tries++) {
      const before = words.fragmenting
      if ((before & 1) !== 0) continue
      const errno = this.send(row, message, bytes)
      // What an interface drops is different: nobody is told, and it counts as lost on the way.
      if (errno === EAGAIN) return false
      if (words.fragmenting === before) return true
    }
    return false
  }

  /** Sends a keepalive. */
  hello(row: number, token: bigint): void {
    this.send(row, { type: 'hello', token, sizeBytes: this.featuresFor(row) })
  }

  /** Calls `listener` for each control frame, after the peer itself. */
  onMessage(listener: (row: number, message: ControlMessage) => void): void {
    this.#listener = listener
  }

  /** 64 random bits. An answer repeats the token of its question. */
  newToken(): bigint {
    return this.#context.platform.random(8).readBigUInt64BE()
  }

  /** Must be called when a worker says that there is something. */
  wake(): void {
    this.#reader.wake()
  }

  close(): void {
    this.#reader.close()
  }

  #hear(row: number, head: Uint8Array, bytes: number): void {
    const { mode, roster, tables } = this.#context
    const message = readControl(mode, head, bytes)
    if (message === undefined) {
      tables.counters.own.count('dropControlMalformed')
      return
    }
    const peer = roster.at(row)
    if (peer?.endpoint === undefined) return
    const answer = controlAnswer(message, bytes)
    if (answer !== undefined) this.send(row, answer)
    peer.said(message, bytes)
    this.#listener(row, message)
  }
}
