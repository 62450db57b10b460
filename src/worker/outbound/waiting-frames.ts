import { WAITING_FRAMES_BYTES } from '../../memory/plan.js'

/** The most frames that wait. A handshake takes one or two round trips. */
const FRAMES = 64

/** The most frames that wait for one peer. A peer that never answers must leave room for others. */
const PEER_FRAMES = 32

/** Frames that have waited longer are not worth sending, because their sender has already sent them again. */
const PATIENCE_MS = 6_000

/** Takes frames out again. True if the frame has gone, false if it must wait longer. */
export type Leaver = (frame: number, bytes: number, row: number) => boolean

/** Counts a frame for the peer in a row that was dropped without being sent. */
export type GivenUp = (row: number) => void

/**
 * Frames for peers without keys, while a handshake is under way. Otherwise the first packet of a conversation
 * would be lost, and a TCP connection would begin a second late. Each worker has one instance.
 */
export class WaitingFrames {
  readonly #copy: (to: number, from: number, bytes: number) => void
  readonly #at: number
  readonly #offsets = new Uint32Array(FRAMES)
  readonly #bytes = new Uint32Array(FRAMES)
  readonly #rows = new Uint32Array(FRAMES)
  readonly #sinceMs = new Float64Array(FRAMES)
  /** Entries, and bytes in use. */
  #count = 0
  #used = 0

  /**
   * @param at offset of {@link WAITING_FRAMES_BYTES} in the memory
   * @param copy copies `bytes` bytes, and up to 15 more
   */
  constructor(at: number, copy: (to: number, from: number, bytes: number) => void) {
    this.#copy = copy
    this.#at = at
  }

  get empty(): boolean {
    return this.#count === 0
  }

  /**
   * Keeps a copy of a frame. False if there is no room.
   * @param givenUp called for other frames that are dropped to make room
   */
  put(frame: number, bytes: number, row: number, nowMs: number, givenUp: GivenUp): boolean {
    if (!this.#fits(bytes, row)) this.#expire(nowMs, givenUp)
    if (!this.#fits(bytes, row)) return false
    const index = this.#count++
    this.#copy(this.#at + this.#used, frame, bytes)
    this.#offsets[index] = this.#at + this.#used
    this.#bytes[index] = bytes
    this.#rows[index] = row
    this.#sinceMs[index] = nowMs
    this.#used += roomFor(bytes)
    return true
  }

  /**
   * Offers each frame, in the order of arrival.
   * @param givenUp called for frames that have waited too long
   */
  leave(leaver: Leaver, nowMs: number, givenUp: GivenUp): void {
    this.#expire(nowMs, givenUp)
    for (let index = 0; index < this.#count; index++) {
      if (leaver(this.#offsets[index], this.#bytes[index], this.#rows[index])) this.#bytes[index] = 0
    }
    this.#compact()
  }

  /** Drops the frames for peers for which `isGone` is true. */
  giveUp(isGone: (row: number) => boolean, givenUp: GivenUp): void {
    for (let index = 0; index < this.#count; index++) if (isGone(this.#rows[index])) this.#end(index, givenUp)
    this.#compact()
  }

  #fits(bytes: number, row: number): boolean {
    if (this.#count === FRAMES || this.#used + bytes + 80 > WAITING_FRAMES_BYTES) return false
    return this.#waitingFor(row) < PEER_FRAMES
  }

  #expire(nowMs: number, givenUp: GivenUp): void {
    for (let index = 0; index < this.#count; index++)
      if (nowMs - this.#sinceMs[index] >= PATIENCE_MS) this.#end(index, givenUp)
    this.#compact()
  }

  #end(index: number, givenUp: GivenUp): void {
    this.#bytes[index] = 0
    givenUp(this.#rows[index])
  }

  #waitingFor(row: number): number {
    let count = 0
    for (let index = 0; index < this.#count; index++) if (this.#rows[index] === row) count++
    return count
  }

  /**
   * Moves the waiting frames together, over the room of those that have left. Frames that have left have 0
   * bytes.
   */
  #compact(): void {
    let count = 0
    let used = 0
    for (let index = 0; index < this.#count; index++) {
      const bytes = this.#bytes[index]
      if (bytes === 0) continue
      const to = this.#at + used
      if (to !== this.#offsets[index]) this.#copy(to, this.#offsets[index], bytes)
      this.#offsets[count] = to
      this.#bytes[count] = bytes
      this.#rows[count] = this.#rows[index]
      this.#sinceMs[count++] = this.#sinceMs[index]
      used += roomFor(bytes)
    }
    this.#count = count
    this.#used = used
  }
}

/**
 * A multiple of 64, with room for the extra bytes that a copy writes. Frames are moved by at least
 * as many bytes.
 */
function roomFor(bytes: number): number {
  return (bytes + 79) & -64
}
