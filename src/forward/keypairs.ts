import type { NativeMemory } from '../linux/memory.js'
import { SOCKADDR_BYTES } from '../linux/sockaddr.js'
import { REPLAY_WINDOW_BYTES, ReplayWindow } from './replay-window.js'

/**
 * The keypairs in shared memory: main writes them, workers seal and open with them.
 *
 * A row is found by its keypair's index, the number that the other end puts in its messages: the index's low
 * bits are the row's number, the others are random. A row holds a cache line of words (below), one of two keys
 * of 32 bytes, and a replay window. Before the rows, a cache line for each peer: the row to seal with, plus one;
 * what workers want main to know; and a socket address.
 *
 * A row's generation is odd while there are keys in it, and counts up with every change, before the change: who
 * has read the same odd number before and after taking something has taken what belongs together. `confirmed` is
 * the generation of the keys that something has been opened with.
 */
const Word = { generation: 0, index: 1, remoteIndex: 2, peer: 3, nextNumber: 4, confirmed: 5 } as const

/** Words of a peer's line. `wanted` and `moved` are set by workers and cleared by main. */
const PeerWord = { sealingRow: 0, wanted: 1, moved: 2, address: 4 } as const
const PEER_BYTES = 64

const KEYS_AT = 64
const KEY_BYTES = 32
const WINDOW_AT = 128
const ROW_BYTES = WINDOW_AT + REPLAY_WINDOW_BYTES

/** Numbers are 32 bits here, the upper half of the nonce's counter is zero. From this one on none is given out. */
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

  /** Main: `row`, which is free, is to be `peer`'s; its index's low bits are the row's number. */
  reserve(row: number, index: number, peer: number): void {
    const word = this.#words(row)
    Atomics.store(this.#memory.i32, word + Word.peer, peer)
    Atomics.store(this.#memory.i32, word + Word.index, index | 0)
  }

  /** Main: puts keys into a row that is reserved. */
  establish(row: number, remoteIndex: number, sendKey: Uint8Array, receiveKey: Uint8Array): void {
    const { i32, u32, u8 } = this.#memory
    const word = this.#words(row)
    const at = this.#at + row * ROW_BYTES
    u32[word + Word.remoteIndex] = remoteIndex
    u8.set(sendKey, at + KEYS_AT)
    u8.set(receiveKey, at + KEYS_AT + KEY_BYTES)
    this.#window.clear(at + WINDOW_AT)
    Atomics.store(i32, word + Word.nextNumber, 0)
    Atomics.add(i32, word + Word.generation, 1)
  }

  /** Main: wipes a row's keys, and nobody has it any more. */
  release(row: number): void {
    const { i32, u8 } = this.#memory
    const word = this.#words(row)
    Atomics.store(i32, word + Word.index, 0)
    if (this.isEstablished(row)) Atomics.add(i32, word + Word.generation, 1)
    const keys = this.#at + row * ROW_BYTES + KEYS_AT
    u8.fill(0, keys, keys + 2 * KEY_BYTES)
  }

  /** Main: what is sent to `peer` is sealed with the keypair in `row` from now on; with none for -1. */
  sealWith(peer: number, row: number): void {
    Atomics.store(this.#memory.i32, this.#line(peer) + PeerWord.sealingRow, row + 1)
  }

  /** The row to seal with for `peer`, or -1. */
  sealingRow(peer: number): number {
    return Atomics.load(this.#memory.i32, this.#line(peer) + PeerWord.sealingRow) - 1
  }

  /** Worker: there is something to send to `peer` and nothing to seal it with. True unless main knows. */
  want(peer: number): boolean {
    return Atomics.exchange(this.#memory.i32, this.#line(peer) + PeerWord.wanted, 1) === 0
  }

  /** Main: whether that was so since the last time. */
  takeWant(peer: number): boolean {
    return Atomics.exchange(this.#memory.i32, this.#line(peer) + PeerWord.wanted, 0) === 1
  }

  /**
   * The udp worker: something authentic has come from `peer`, from the socket address at offset `name`, where it
   * was not before. True unless main has yet to take such an address.
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

  /** Main: where a peer has moved to since the last time. */
  takeMove(peer: number): Uint8Array | undefined {
    const line = this.#line(peer)
    const { i32, u8 } = this.#memory
    if (Atomics.load(i32, line + PeerWord.moved) === 0) return undefined
    const at = (line + PeerWord.address) * 4
    const address = u8.slice(at, at + SOCKADDR_BYTES)
    Atomics.store(i32, line + PeerWord.moved, 0)
    return address
  }

  /** Main, while no worker has anything of `peer`'s in hand: the number is another peer's from now on. */
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
   * Takes `count` numbers (at most 1,024) to seal with under the keys that had this generation, for this thread
   * alone: the first of them, or -1 when the keys are gone or worn out.
   *
   * No number is ever given out twice for the same keys, whoever asks. Among threads that is the atomic addition.
   * It cannot run over: who adds has just seen a sum below the limit, which leaves room for a thousand threads
   * that have. And the sum is set to zero for new keys only after the generation has gone on: who finds the old
   * generation after the addition has added before that.
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

  /** True the first time for the keys of this generation: something sealed with them has been opened. */
  confirm(row: number, generation: number): boolean {
    const word = this.#words(row) + Word.confirmed
    if (Atomics.load(this.#memory.i32, word) === generation) return false
    Atomics.store(this.#memory.i32, word, generation)
    return true
  }

  /** Whether that was so of the keys that are in it now. */
  isConfirmed(row: number): boolean {
    const generation = this.generation(row)
    return (
      (generation & 1) === 1 &&
      Atomics.load(this.#memory.i32, this.#words(row) + Word.confirmed) === generation
    )
  }

  #line(peer: number): number {
    return this.#peers + (peer * PEER_BYTES) / 4
  }

  #words(row: number): number {
    return (this.#at + row * ROW_BYTES) >>> 2
  }
}
