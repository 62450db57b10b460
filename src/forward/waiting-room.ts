/** Frames that wait at the most, and room for them: a handshake takes a round trip or two. */
const FRAMES = 64
export const WAITING_ROOM_BYTES = 128 * 1024

/** Of those, for one peer: one that never answers must leave room for others. */
const PEER_FRAMES = 32

/** What has waited longer is not worth sending any more: whoever sent it has sent it again. */
const PATIENCE_MS = 6_000

/** Who takes frames out again; true when the frame has gone, false when it has to wait on. */
export type Leaver = (frame: number, bytes: number, peer: number) => boolean

/** Who counts a frame, for `peer`, that waits no more and has not gone. */
export type GivenUp = (peer: number) => void

/**
 * Frames for peers that there are no keys for yet, while a handshake is under way: the first packet of a
 * conversation would be lost otherwise, and a TCP connection begin a second late. Each worker has one.
 */
export class WaitingRoom {
  readonly #copy: (to: number, from: number, bytes: number) => void
  readonly #at: number
  readonly #offsets = new Uint32Array(FRAMES)
  readonly #bytes = new Uint32Array(FRAMES)
  readonly #peers = new Uint32Array(FRAMES)
  readonly #sinceMs = new Float64Array(FRAMES)
  /** Entries, and room in use. */
  #count = 0
  #used = 0

  /**
   * @param at offset of {@link WAITING_ROOM_BYTES} in the memory
   * @param copy copies `bytes` bytes, and up to 15 more
   */
  constructor(at: number, copy: (to: number, from: number, bytes: number) => void) {
    this.#copy = copy
    this.#at = at
  }

  get empty(): boolean {
    return this.#count === 0
  }

  /** Keeps a copy of a frame; false where there is no room. @param givenUp told of others that make room for it */
  put(frame: number, bytes: number, peer: number, nowMs: number, givenUp: GivenUp): boolean {
    if (!this.#fits(bytes, peer)) this.#expire(nowMs, givenUp)
    if (!this.#fits(bytes, peer)) return false
    const index = this.#count++
    this.#copy(this.#at + this.#used, frame, bytes)
    this.#offsets[index] = this.#at + this.#used
    this.#bytes[index] = bytes
    this.#peers[index] = peer
    this.#sinceMs[index] = nowMs
    this.#used += roomFor(bytes)
    return true
  }

  /** Offers each frame, in the order they came. @param givenUp told of those that have waited for too long */
  leave(leaver: Leaver, nowMs: number, givenUp: GivenUp): void {
    this.#expire(nowMs, givenUp)
    for (let index = 0; index < this.#count; index++) {
      if (leaver(this.#offsets[index], this.#bytes[index], this.#peers[index])) this.#bytes[index] = 0
    }
    this.#compact()
  }

  /** Gives up those for peers of which that is so. */
  giveUp(isGone: (peer: number) => boolean, givenUp: GivenUp): void {
    for (let index = 0; index < this.#count; index++)
      if (isGone(this.#peers[index])) this.#end(index, givenUp)
    this.#compact()
  }

  #fits(bytes: number, peer: number): boolean {
    if (this.#count === FRAMES || this.#used + bytes + 80 > WAITING_ROOM_BYTES) return false
    return this.#waitingFor(peer) < PEER_FRAMES
  }

  #expire(nowMs: number, givenUp: GivenUp): void {
    for (let index = 0; index < this.#count; index++)
      if (nowMs - this.#sinceMs[index] >= PATIENCE_MS) this.#end(index, givenUp)
    this.#compact()
  }

  #end(index: number, givenUp: GivenUp): void {
    this.#bytes[index] = 0
    givenUp(this.#peers[index])
  }

  #waitingFor(peer: number): number {
    let count = 0
    for (let index = 0; index < this.#count; index++) if (this.#peers[index] === peer) count++
    return count
  }

  /** Those that have left, which have no bytes any more, leave their room to what waits. */
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
      this.#peers[count] = this.#peers[index]
      this.#sinceMs[count++] = this.#sinceMs[index]
      used += roomFor(bytes)
    }
    this.#count = count
    this.#used = used
  }
}

/** A multiple of 64, with room for what a copy writes too much: frames are moved by as much at least. */
function roomFor(bytes: number): number {
  return (bytes + 79) & -64
}
