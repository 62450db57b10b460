import type { Encap } from '../encap/encap.js'
import { EAGAIN } from '../linux/errno.js'
import { sockaddrIn } from '../memory/name.js'
import { Rates } from '../rates.js'
import { type ControlMessage, controlAnswer, readControl, writeControl } from '../wire/control.js'
import type { DeviceMode } from '../wire/mode.js'
import type { Faults } from './faults.js'
import { MailboxReader } from './mailbox-reader.js'
import type { PathMtu } from './path-mtu/path-mtu.js'
import type { Roster } from './peer/roster.js'
import { RoundTrips } from './peer/round-trips.js'
import type { Platform } from './platform.js'
import type { PrivateSide } from './private/private-side.js'
import type { Tables } from './tables.js'

/** How many frames are taken in one turn of the event loop. */
const TURN_FRAMES = 64

/** How often we try while a worker sends in fragments. It does that for some ten microseconds at a time. */
const WHOLE_TRIES = 200

/**
 * How many hellos and probes of a peer are answered in a second, and in one burst. An end sends two in a second by itself, and
 * a hundred more for each person who has it ping as fast as it may. With a lower limit, who forges a plain peer's
 * address could keep its true hellos from being answered with few datagrams.
 */
const ANSWERS_PER_SECOND = 1_000
const ANSWERS_BURST = 1_000

/** The same for connectivity checks from elsewhere. Whoever sends them may name somebody else as their source. */
const CHECK_ANSWERS_PER_SECOND = 20
const CHECK_ANSWERS_BURST = 40

export interface ControlChannelContext {
  readonly mode: DeviceMode
  readonly platform: Platform
  readonly tables: Tables
  readonly roster: Roster
  readonly faults: Faults
  readonly encap: Encap
  /** Undefined if the tunnel is not private. A datagram is then the frame itself. */
  readonly privateSide: PrivateSide | undefined
  /** What this end can do for the peer in a row, as its hellos say (wire/control.ts). */
  readonly featuresFor: (row: number) => number
}

/** Main exchanges control frames with other ends over the data socket. Never blocks. */
export class ControlChannel {
  readonly #context: ControlChannelContext
  readonly #reader: MailboxReader
  readonly #listeners: ((row: number, message: ControlMessage, from?: Uint8Array) => void)[] = []
  readonly #answers: Rates
  readonly #checkAnswers: Rates
  /** How long keepalives to each peer and back take. */
  readonly roundTrips: RoundTrips

  constructor(context: ControlChannelContext) {
    this.#context = context
    const { platform, tables, faults, privateSide } = context
    this.#checkAnswers = new Rates(tables.peers.rows, CHECK_ANSWERS_PER_SECOND, CHECK_ANSWERS_BURST)
    this.#answers = new Rates(tables.peers.rows, ANSWERS_PER_SECOND, ANSWERS_BURST)
    this.roundTrips = new RoundTrips(platform.clock)
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
    return this.sendTo(row, this.#context.roster.at(row)?.datagramName, message, bytes)
  }

  /** Sends a control frame with content to a peer. */
  tell(row: number, type: ControlMessage['type'], content: Uint8Array): void {
    this.send(row, { type, token: this.newToken(), sizeBytes: content.length, content })
  }

  /** The same, to another place (memory/name.ts) than where the peer is. */
  sendTo(row: number, name: Uint8Array | undefined, message: ControlMessage, bytes?: number): number {
    const { mode, platform, privateSide, encap } = this.#context
    // A device of the kernel, or a switch, answers none. It counts as lost on the way.
    if (encap.vni !== undefined) return 0
    const plain = writeControl(mode, message, bytes)
    const frame = privateSide === undefined ? plain : privateSide.sender.seal(row, plain)
    // A frame that cannot be sealed counts as lost on the way, and so does one for a peer that is nowhere.
    if (frame === undefined || name === undefined) return 0
    return privateSide === undefined
      ? platform.socket.send(frame, name)
      : privateSide.sender.send(frame, name)
  }

  /**
   * Sends a control frame of `bytes` bytes in one datagram.
   * @returns false if there was no room for it, or if it may have been fragmented because a worker sends such
   *   datagrams just now
   */
  sendWhole(row: number, message: ControlMessage, bytes: number): boolean {
    const errno = this.#sendInOne(row, message, bytes)
    // What an interface drops is different: nobody is told, and it counts as lost on the way.
    return errno !== undefined && errno !== EAGAIN
  }

  /** @returns 0 or an errno; undefined if each datagram may have been fragmented */
  #sendInOne(row: number, message: ControlMessage, bytes: number): number | undefined {
    const { words } = this.#context.tables
    for (let tries = 0; tries < WHOLE_TRIES; tries++) {
      const before = words.fragmenting
      if ((before & 1) !== 0) continue
      const errno = this.send(row, message, bytes)
      if (errno === EAGAIN || words.fragmenting === before) return errno
    }
    return undefined
  }

  /** Sends a keepalive. */
  hello(row: number, token: bigint): void {
    this.roundTrips.sent(row, token)
    this.send(row, this.#helloWith(row, token))
  }

  /**
   * Sends a keepalive as a frame of `bytes` bytes in one datagram.
   * @returns 0 or an errno; undefined if it may have been fragmented, because a worker sends such datagrams just now
   */
  helloWhole(row: number, token: bigint, bytes: number): number | undefined {
    return this.#sendInOne(row, this.#helloWith(row, token), bytes)
  }

  /** What it says of this end is the same in every hello. */
  #helloWith(row: number, token: bigint): ControlMessage {
    return { type: 'hello', token, sizeBytes: this.#context.featuresFor(row) }
  }

  /**
   * Calls `listener` for each control frame, after the peer itself and earlier listeners.
   * @param listener gets the socket address that a check has come from, if that is not where the peer is
   */
  onMessage(listener: (row: number, message: ControlMessage, from?: Uint8Array) => void): void {
    this.#listeners.push(listener)
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
    const { mode, platform, roster, tables, encap } = this.#context
    // No end of a VXLAN network has any to send. Anybody behind one may send what looks like it.
    const message = encap.vni === undefined ? readControl(mode, head, bytes) : undefined
    if (message === undefined) {
      tables.counters.own.count('dropControlMalformed')
      return
    }
    const peer = roster.at(row)
    if (peer?.endpoint === undefined) return
    const asks = message.type === 'hello' || message.type === 'probe'
    if (asks && !this.#answers.allows(row, platform.clock.nowMs())) {
      tables.counters.own.count('dropControlFull')
      return
    }
    const answer = controlAnswer(message, bytes, knownBytes(peer.pathMtu))
    if (answer !== undefined) this.send(row, answer)
    if (message.type === 'hello_ack') this.roundTrips.answered(row, message.token)
    peer.said(message, bytes)
    for (const listener of this.#listeners) listener(row, message)
  }

  /** A check, or the answer to one, has come from elsewhere than where its sender is. */
  hearCheck(row: number, frame: Uint8Array, name: Uint8Array): void {
    const { mode, platform, tables } = this.#context
    const { own } = tables.counters
    const message = readControl(mode, frame, frame.length)
    if (message === undefined) own.count('dropControlMalformed')
    else if (!this.#checkAnswers.allows(row, platform.clock.nowMs())) own.count('dropControlFull')
    else {
      const answer = controlAnswer(message, frame.length)
      if (answer !== undefined) this.sendTo(row, name, answer)
      const from = Uint8Array.from(sockaddrIn(name))
      for (const listener of this.#listeners) listener(row, message, from)
    }
  }
}

/** What is known of a path, as 16 bits can say it; undefined if it is only assumed. */
function knownBytes(pathMtu: PathMtu | undefined): number | undefined {
  return pathMtu === undefined || pathMtu.how === 'assumed' ? undefined : Math.min(pathMtu.mtuBytes, 0xffff)
}
