import type { NativeMemory } from '../linux/memory.js'
import { SOCKADDR_BYTES } from '../linux/sockaddr.js'
import { REPLAY_WINDOW_BYTES, ReplayWindow } from './replay-window.js'

/**
 * The keypairs in shared memory. Main writes them; workers seal and open with them.
 *
 * A keypair's row is found by the keypair's index, the number that the other end puts into its messages. The
 * index's low bits are the row's number. Its other bits are random. Here `keyRow` is the row of a keypair,
 * and `row` is that of a peer, as everywhere.
 *
 * Layout: first a cache line for each peer, then the keypairs' rows. A peer's line holds the keypair's row to
 * seal with, plus one; what workers want main to know; and a socket address. A keypair's row holds:
 * - a cache line of words (below), with a 64-bit float: when the keys expire, on the clock of `linux/clock.ts`;
 * - a cache line with two keys of 32 bytes;
 * - a replay window.
 *
 * A keypair row's generation is odd while there are keys in it. Every change raises the generation, before the
 * change. If a thread reads the same odd number before and after it reads something, all that it read belongs
 * to the same keys. `confirmed` is the generation of the keys that have opened something.
 */
const Word = {
  generation: 0,
  index: 1,
  remoteIndex: 2,
  row: 3,
  nextNumber: 4,
  confirmed: 5,
  cookie: 6,
} as const

/** Words of a peer's line. Workers set `wanted` and `moved`, and main clears them. */
const PeerWord = { sealingKeyRow: 0, wanted: 1, moved: 2, address: 4 } as const
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

  /** Main: gives `keyRow`, which is free, to the peer in `row`. The low bits of `index` are `keyRow`. */
  reserve(keyRow: number, index: number, row: number): void {
    const word = this.#words(keyRow)
    Atomics.store(this.#memory.i32, word + Word.row, row)
    Atomics.store(this.#memory.i32, word + Word.index, index | 0)
  }

  /** Main: puts keys into a reserved keypair row. Nobody may use them from `overMs` on. */
  establish(
    keyRow: number,
    remoteIndex: number,
    sendKey: Uint8Array,
    receiveKey: Uint8Array,
    overMs: number,
  ): void {
    const { f64, i32, u32, u8 } = this.#memory
    const word = this.#words(keyRow)
    const at = this.#at + keyRow * ROW_BYTES
    u32[word + Word.remoteIndex] = remoteIndex
    f64[(at + OVER_AT) >>> 3] = overMs
    u8.set(sendKey, at + KEYS_AT)
    u8.set(receiveKey, at + KEYS_AT + KEY_BYTES)
    this.#window.clear(at + WINDOW_AT)
    Atomics.store(i32, word + Word.nextNumber, 0)
    Atomics.add(i32, word + Word.generation, 1)
  }

  /** Main: wipes a keypair row's keys. The row then belongs to nobody. */
  release(keyRow: number): void {
    const { i32, u8 } = this.#memory
    const word = this.#words(keyRow)
    Atomics.store(i32, word + Word.index, 0)
    Atomics.store(i32, word + Word.cookie, 0)
    if (this.isEstablished(keyRow)) Atomics.add(i32, word + Word.generation, 1)
    const keys = this.#at + keyRow * ROW_BYTES + KEYS_AT
    u8.fill(0, keys, keys + 2 * KEY_BYTES)
  }

  /**
   * Main: messages to the peer in `row` are sealed with the keypair in `keyRow` from now on. -1 is no
   * keypair.
   */
  sealWith(row: number, keyRow: number): void {
    Atomics.store(this.#memory.i32, this.#line(row) + PeerWord.sealingKeyRow, keyRow + 1)
  }

  /** The keypair's row to seal with for the peer in `row`, or -1. */
  sealingKeyRow(row: number): number {
    return Atomics.load(this.#memory.i32, this.#line(row) + PeerWord.sealingKeyRow) - 1
  }

  /**
   * Worker: there is something to send to the peer in `row`, and no key to seal it with. True unless main
   * already knows.
   */
  want(row: number): boolean {
    return Atomics.exchange(this.#memory.i32, this.#line(row) + PeerWord.wanted, 1) === 0
  }

  /** Main: whether a worker has called {@link want} since the last time. */
  takeWant(row: number): boolean {
    return Atomics.exchange(this.#memory.i32, this.#line(row) + PeerWord.wanted, 0) === 1
  }

  /**
   * The udp worker: an authentic message from the peer in `row` has come from a new socket address, which is
   * at offset `name`. False if main has not taken the previous new address yet.
   */
  move(row: number, name: number): boolean {
    const line = this.#line(row)
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
  hasMoved(row: number): boolean {
    return Atomics.load(this.#memory.i32, this.#line(row) + PeerWord.moved) === 1
  }

  /** Main: the socket address that a peer has moved to since the last time. */
  takeMove(row: number): Uint8Array | undefined {
    const line = this.#line(row)
    const { i32, u8 } = this.#memory
    if (Atomics.load(i32, line + PeerWord.moved) === 0) return undefined
    const at = (line + PeerWord.address) * 4
    const address = u8.slice(at, at + SOCKADDR_BYTES)
    Atomics.store(i32, line + PeerWord.moved, 0)
    return address
  }

  /** Main, while no worker holds anything of `row`: it belongs to another peer from now on. */
  forget(row: number): void {
    const line = this.#line(row)
    Atomics.store(this.#memory.i32, line + PeerWord.wanted, 0)
    Atomics.store(this.#memory.i32, line + PeerWord.moved, 0)
  }

  /** The keypair's row that has this index, or -1. */
  keyRowOf(index: number): number {
    const keyRow = index & (this.rows - 1)
    const held = Atomics.load(this.#memory.i32, this.#words(keyRow) + Word.index)
    return held === (index | 0) && held !== 0 ? keyRow : -1
  }

  generation(keyRow: number): number {
    return Atomics.load(this.#memory.i32, this.#words(keyRow) + Word.generation)
  }

  isEstablished(keyRow: number): boolean {
    return (this.generation(keyRow) & 1) === 1
  }

  /** The row of the keypair's peer. */
  row(keyRow: number): number {
    return Atomics.load(this.#memory.i32, this.#words(keyRow) + Word.row)
  }

  remoteIndex(keyRow: number): number {
    return this.#memory.u32[this.#words(keyRow) + Word.remoteIndex]
  }

  /** When the keys in this keypair row expire. */
  overMs(keyRow: number): number {
    return this.#memory.f64[(this.#at + keyRow * ROW_BYTES + OVER_AT) >>> 3]
  }

  /** Offsets in the memory of the keys, and of the replay window. */
  sendKey(keyRow: number): number {
    return this.#at + keyRow * ROW_BYTES + KEYS_AT
  }

  receiveKey(keyRow: number): number {
    return this.#at + keyRow * ROW_BYTES + KEYS_AT + KEY_BYTES
  }

  window(keyRow: number): number {
    return this.#at + keyRow * ROW_BYTES + WINDOW_AT
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
  take(keyRow: number, generation: number, count: number): number {
    const { i32 } = this.#memory
    const word = this.#words(keyRow)
    if (Atomics.load(i32, word + Word.nextNumber) >>> 0 >= NUMBER_LIMIT) return -1
    const number = Atomics.add(i32, word + Word.nextNumber, count) >>> 0
    if (number + count > NUMBER_LIMIT) return -1
    return Atomics.load(i32, word + Word.generation) === generation ? number : -1
  }

  /** Numbers given out so far. */
  taken(keyRow: number): number {
    return Atomics.load(this.#memory.i32, this.#words(keyRow) + Word.nextNumber) >>> 0
  }

  /** Something has been opened with the keys of this generation. True only the first time. */
  confirm(keyRow: number, generation: number): boolean {
    const word = this.#words(keyRow) + Word.confirmed
    if (Atomics.load(this.#memory.i32, word) === generation) return false
    Atomics.store(this.#memory.i32, word, generation)
    return true
  }

  /** Whether something has been opened with the present keys of this keypair row. */
  isConfirmed(keyRow: number): boolean {
    const generation = this.generation(keyRow)
    return (
      (generation & 1) === 1 &&
      Atomics.load(this.#memory.i32, this.#words(keyRow) + Word.confirmed) === generation
    )
  }

  /**
   * Main: sets whether a cookie is expected for this keypair row. It is expected after a handshake message
   * with the row's index, until the cookie has come.
   */
  expectCookie(keyRow: number, expected: boolean): void {
    Atomics.store(this.#memory.i32, this.#words(keyRow) + Word.cookie, expected ? 1 : 0)
  }

  expectsCookie(keyRow: number): boolean {
    return Atomics.load(this.#memory.i32, this.#words(keyRow) + Word.cookie) === 1
  }

  #line(row: number): number {
    return this.#peers + (row * PEER_BYTES) / 4
  }

  #words(keyRow: number): number {
    return (this.#at + keyRow * ROW_BYTES) >>> 2
  }
}
