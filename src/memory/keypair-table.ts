import type { NativeMemory } from '../linux/memory.js'
import { SOCKADDR_BYTES } from '../linux/sockaddr.js'
import { REPLAY_WINDOW_BYTES, ReplayWindow } from './replay-window.js'

/**
 * The keypairs in shared memory. Main writes them; workers seal and open with them.
 *
 * A row is found by its keypair's index, the number that the other end puts into its messages. The index's low
 * bits are the row's number. Its other bits are random.
 *
 * Layout: first a cache line for each peer, then the rows. A peer's line holds the row to seal with, plus one;
 * what workers want main to know; and a socket address. A row holds:
 * - a cache line of words (below), with a 64-bit float: when the keys expire, on the clock of `linux/clock.ts`;
 * - a cache line with two keys of 32 bytes;
 * - a replay window.
 *
 * A row's generation is odd while there are keys in the row. Every change raises the generation, before the
 * change. If a thread reads the same odd number before and after it reads something, all that it read belongs
 * to the same keys. `confirmed` is the generation of the keys that have opened something.
 */
const Word = {
  generation: 0,
  index: 1,
  remoteIndex: 2,
  peer: 3,
  nextNumber: 4,
  confirmed: 5,
  cookie: 6,
} as const

/** Words of a peer's line. Workers set `wanted` and `moved`, and main clears them. */
const PeerWord = { sealingRow: 0, wanted: 1, moved: 2, address: 4 } as const
const PEER_BYTES = 64

const OVER_AT = 24
const KEYS_AT = 64
const KEY_BYTES = 32
const WINDOW_AT = 128
const ROW_BYTES = WINDOW_AT + REPLAY_WINDOW_BYTES

/**
 * Message numbers are 32 bits here. The upper half of the nonce's counter is zero. Numbers from this one on are
 * never given out.
 */
export const NUMBER_LIMIT = 2 ** 32 - 2 ** 20

export function keypairTableBytes(rows: number, peers: number): number {
  return peers * PEER_BYTES + rows * ROW_BYTES
}

export class KeypairTable {
  /** A power of two. */
  readonly rows: number
  readonly #memory: NativeMemory
  readonly #peers: number
  readonly #at: number
  readonly #window: ReplayWindow

  /** @param at offset of the table in `memory`, a multiple of 64 */
  constructor(memory: NativeMemory, at: number, rows: number, peers: number) {
    this.rows = rows
    this.#memory = memory
    this.#peers = at >>> 2
    this.#at = at + peers * PEER_BYTES
    this.#window = new ReplayWindow(memory)
  }

  /** Main: gives `row`, which is free, to `peer`. The low bits of `index` are the row's number. */
  reserve(row: number, index: number, peer: number): void {
    const word = this.#words(row)
    Atomics.store(this.#memory.i32, word + Word.peer, peer)
    Atomics.store(this.#memory.i32, word + Word.index, index | 0)
  }

  /** Main: puts keys into a reserved row. Nobody may use them from `overMs` on. */
  establish(
    row: number,
    remoteIndex: number,
    sendKey: Uint8Array,
    receiveKey: Uint8Array,
    overMs: number,
  ): void {
    const { f64, i32, u32, u8 } = this.#memory
    const word = this.#words(row)
    const at = this.#at + row * ROW_BYTES
    u32[word + Word.remoteIndex] = remoteIndex
    f64[(at + OVER_AT) >>> 3] = overMs
    u8.set(sendKey, at + KEYS_AT)
    u8.set(receiveKey, at + KEYS_AT + KEY_BYTES)
    this.#window.clear(at + WINDOW_AT)
    Atomics.store(i32, word + Word.nextNumber, 0)
    Atomics.add(i32, word + Word.generation, 1)
  }

  /** Main: wipes a row's keys. The row then belongs to nobody. */
  release(row: number): void {
    const { i32, u8 } = this.#memory
    const word = this.#words(row)
    Atomics.store(i32, word + Word.index, 0)
    Atomics.store(i32, word + Word.cookie, 0)
    if (this.isEstablished(row)) Atomics.add(i32, word + Word.generation, 1)
    const keys = this.#at + row * ROW_BYTES + KEYS_AT
    u8.fill(0, keys, keys + 2 * KEY_BYTES)
  }

  /** Main: messages to `peer` are sealed with the keypair in `row` from now on. -1 is no keypair. */
  sealWith(peer: number, row: number): void {
    Atomics.store(this.#memory.i32, this.#line(peer) + PeerWord.sealingRow, row + 1)
  }

  /** The row to seal with for `peer`, or -1. */
  sealingRow(peer: number): number {
    return Atomics.load(this.#memory.i32, this.#line(peer) + PeerWord.sealingRow) - 1
  }

  /**
   * Worker: there is something to send to `peer`, and no key to seal it with. True unless main already knows.
   */
  want(peer: number): boolean {
    return Atomics.exchange(this.#memory.i32, this.#line(peer) + PeerWord.wanted, 1) === 0
  }

  /** Main: whether a worker has called {@link want} since the last time. */
  takeWant(peer: number): boolean {
    return Atomics.exchange(this.#memory.i32, this.#line(peer) + PeerWord.wanted, 0) === 1
  }

  /**
   * The udp worker: an authentic message from `peer` has come from a new socket address, which is at offset
   * `name`. False if main has not taken the previous new address yet.
   */
  move(peer: number, name: number): boolean {
    const line = this.#line(peer)
    const { i32, u8 } = this.#memory
    if (Atomics.load(i32, line + PeerWord.moved) === 1) return false
    const at = (line + PeerWord.address) * 4
    u8.copyWithin(at, name, name + SOCKADDR_BYTES)
    Atomics.store(i32, line + PeerWord.moved, 1)
    return true
  }

  /**
   * Main: whether a peer has moved since the last time. Until main takes the move, workers report no further
   * one.
   */
  hasMoved(peer: number): boolean {
    return Atomics.load(this.#memory.i32, this.#line(peer) + PeerWord.moved) === 1
  }

  /** Main: the socket address that a peer has moved to since the last time. */
  takeMove(peer: number): Uint8Array | undefined {
    const line = this.#line(peer)
    const { i32, u8 } = this.#memory
    if (Atomics.load(i32, line + PeerWord.moved) === 0) return undefined
    const at = (line + PeerWord.address) * 4
    const address = u8.slice(at, at + SOCKADDR_BYTES)
    Atomics.store(i32, line + PeerWord.moved, 0)
    return address
  }

  /** Main, while no worker holds anything of `peer`: the peer index belongs to another peer from now on. */
  forget(peer: number): void {
    const line = this.#line(peer)
    Atomics.store(this.#memory.i32, line + PeerWord.wanted, 0)
    Atomics.store(this.#memory.i32, line + PeerWord.moved, 0)
  }

  /** The row that has this index, or -1. */
  rowOf(index: number): number {
    const row = index & (this.rows - 1)
    const held = Atomics.load(this.#memory.i32, this.#words(row) + Word.index)
    return held === (index | 0) && held !== 0 ? row : -1
  }

  generation(row: number): number {
    return Atomics.load(this.#memory.i32, this.#words(row) + Word.generation)
  }

  isEstablished(row: number): boolean {
    return (this.generation(row) & 1) === 1
  }

  peer(row: number): number {
    return Atomics.load(this.#memory.i32, this.#words(row) + Word.peer)
  }

  remoteIndex(row: number): number {
    return this.#memory.u32[this.#words(row) + Word.remoteIndex]
  }

  /** When the row's keys expire. */
  overMs(row: number): number {
    return this.#memory.f64[(this.#at + row * ROW_BYTES + OVER_AT) >>> 3]
  }

  /** Offsets in the memory of the keys, and of the replay window. */
  sendKey(row: number): number {
    return this.#at + row * ROW_BYTES + KEYS_AT
  }

  receiveKey(row: number): number {
    return this.#at + row * ROW_BYTES + KEYS_AT + KEY_BYTES
  }

  window(row: number): number {
    return this.#at + row * ROW_BYTES + WINDOW_AT
  }

  /**
   * Takes `count` numbers (at most 1,024) for this thread, to seal with under the keys of this generation.
   * @returns the first number, or -1 if the keys are gone or their numbers are used up
   *
   * No number is ever given out twice for the same keys. Between threads the atomic addition ensures this. The
   * sum cannot overflow: a thread adds only after it has seen a sum below the limit. Beyond the limit there is
   * room for a thousand such threads. The sum is set to zero for new keys only after the generation has
   * changed. So a thread that finds the old generation after its addition has added before the reset.
   */
  take(row: number, generation: number, count: number): number {
    const { i32 } = this.#memory
    const word = this.#words(row)
    if (Atomics.load(i32, word + Word.nextNumber) >>> 0 >= NUMBER_LIMIT) return -1
    const number = Atomics.add(i32, word + Word.nextNumber, count) >>> 0
    if (number + count > NUMBER_LIMIT) return -1
    return Atomics.load(i32, word + Word.generation) === generation ? number : -1
  }

  /** Numbers given out so far. */
  taken(row: number): number {
    return Atomics.load(this.#memory.i32, this.#words(row) + Word.nextNumber) >>> 0
  }

  /** Something has been opened with the keys of this generation. True only the first time. */
  confirm(row: number, generation: number): boolean {
    const word = this.#words(row) + Word.confirmed
    if (Atomics.load(this.#memory.i32, word) === generation) return false
    Atomics.store(this.#memory.i32, word, generation)
    return true
  }

  /** Whether something has been opened with the row's present keys. */
  isConfirmed(row: number): boolean {
    const generation = this.generation(row)
    return (
      (generation & 1) === 1 &&
      Atomics.load(this.#memory.i32, this.#words(row) + Word.confirmed) === generation
    )
  }

  /**
   * Main: sets whether a cookie is expected for this row. It is expected after a handshake message with the
   * row's index, until the cookie has come.
   */
  expectCookie(row: number, expected: boolean): void {
    Atomics.store(this.#memory.i32, this.#words(row) + Word.cookie, expected ? 1 : 0)
  }

  expectsCookie(row: number): boolean {
    return Atomics.load(this.#memory.i32, this.#words(row) + Word.cookie) === 1
  }

  #line(peer: number): number {
    return this.#peers + (peer * PEER_BYTES) / 4
  }

  #words(row: number): number {
    return (this.#at + row * ROW_BYTES) >>> 2
  }
}
