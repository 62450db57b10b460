import type { Aead } from '../linux/ciphers.js'
import type { NativeMemory } from '../linux/memory.js'
import { unpad } from '../wire/padding.js'
import { MESSAGE, TRANSPORT, TRANSPORT_HEADER_BYTES, TRANSPORT_OVERHEAD_BYTES } from '../wire/wireguard.js'
import { C } from './counters.js'
import type { KeypairTable } from './keypairs.js'
import type { PeerTable } from './peers.js'
import { ReplayWindow } from './replay-window.js'

export interface KeyringOptions {
  readonly memory: NativeMemory
  readonly table: KeypairTable
  readonly aead: Aead
  readonly peers: PeerTable
  /** Whether frames are Ethernet's. */
  readonly tap: boolean
  /** Wakes main, unless it has been told and has not looked since. */
  readonly tellMain: () => void
}

/** Numbers taken at once: those of a super-frame. */
const MAX_RANGE = 64

/**
 * One thread's keys: those of the table, made ready for use when they are first met, and messages sealed and
 * opened with them. Any thread may seal; opening is the udp worker's alone, for the replay windows have no lock.
 */
export class Keyring {
  /** Whom the message that was opened last is from. */
  peer = 0
  readonly #memory: NativeMemory
  readonly #table: KeypairTable
  readonly #aead: Aead
  readonly #peers: PeerTable
  readonly #tap: boolean
  readonly #tellMain: () => void
  readonly #window: ReplayWindow
  /** Generations of the keys that are ready: of each row to seal with, and to open. 0 is none. */
  readonly #ready: Int32Array
  /** Numbers that have been taken and not been used: for whom (-1 for none), under which keys, from and up to. */
  #rangePeer = -1
  #row = 0
  #remoteIndex = 0
  #next = 0
  #end = 0
  #expected = 1

  constructor({ memory, table, aead, peers, tap, tellMain }: KeyringOptions) {
    this.#memory = memory
    this.#table = table
    this.#aead = aead
    this.#peers = peers
    this.#tap = tap
    this.#tellMain = tellMain
    this.#window = new ReplayWindow(memory)
    this.#ready = new Int32Array(table.rows * 2)
  }

  /**
   * So many frames for one peer come next: their numbers are taken at once. What is left of those taken before is
   * left out, which nobody minds.
   */
  expect(frames: number): void {
    this.#expected = Math.min(frames, MAX_RANGE)
    this.#rangePeer = -1
  }

  /**
   * Seals `bytes` padded bytes for `peer`, which lie in a place of the {@link Aead}, and writes the header before
   * them. False where there is nothing to seal with, which main is told.
   * @param header offset of the header
   */
  seal(peer: number, header: number, place: number, bytes: number): boolean {
    if (peer !== this.#rangePeer || this.#next === this.#end) {
      if (!this.#takeRange(peer)) {
        if (this.#table.want(peer)) this.#tellMain()
        return false
      }
    }
    const { u32 } = this.#memory
    const number = this.#next++
    this.#aead.seal(this.#row * 2, 0, number, place, bytes)
    u32[header >>> 2] = MESSAGE.transport
    u32[(header + TRANSPORT.receiver) >>> 2] = this.#remoteIndex
    u32[(header + TRANSPORT.counter) >>> 2] = number
    u32[(header + TRANSPORT.counter + 4) >>> 2] = 0
    return true
  }

  #takeRange(peer: number): boolean {
    this.#rangePeer = -1
    const row = this.#table.sealingRow(peer)
    const generation = row < 0 ? 0 : this.#readyKey(row, true)
    // A row may have been given to another peer since.
    if (generation === 0 || this.#table.peer(row) !== peer) return false
    const remoteIndex = this.#table.remoteIndex(row)
    const first = this.#table.take(row, generation, this.#expected)
    if (first < 0) return false
    this.#rangePeer = peer
    this.#row = row
    this.#remoteIndex = remoteIndex
    this.#next = first
    this.#end = first + this.#expected
    return true
  }

  /**
   * Opens the `bytes` bytes of transport data at offset `at`, where they lie. What was in it is then
   * {@link TRANSPORT_HEADER_BYTES} in, without its padding.
   * @param name offset of the socket address that it is from
   * @returns bytes of what was in it, 0 for a keepalive; or, negative, why nothing was: -1 less a counter's index
   */
  open(at: number, bytes: number, name: number): number {
    const { view } = this.#memory
    if (bytes < TRANSPORT_OVERHEAD_BYTES) return -1 - C.dropNotPrivate
    const row = this.#table.rowOf(view.getUint32(at + TRANSPORT.receiver, true))
    const generation = row < 0 ? 0 : this.#readyKey(row, false)
    if (generation === 0) return -1 - C.dropUnknownIndex
    const low = view.getUint32(at + TRANSPORT.counter, true)
    const high = view.getUint32(at + TRANSPORT.counter + 4, true)
    const window = this.#table.window(row)
    if (!this.#window.isFresh(window, high, low)) return -1 - C.dropReplayed
    const packet = at + TRANSPORT_HEADER_BYTES
    if (!this.#aead.open(row * 2 + 1, high, low, packet, bytes - TRANSPORT_HEADER_BYTES))
      return -1 - C.dropNotAuthentic
    const peer = this.#table.peer(row)
    // Keys that main has wiped in the meantime leave a row and a window that may be another peer's by now.
    if (this.#table.generation(row) !== generation) return -1 - C.dropUnknownIndex
    this.#window.accept(window, high, low)
    this.peer = peer
    if (this.#table.confirm(row, generation)) this.#tellMain()
    if (!this.#peers.isFrom(peer, name) && this.#table.move(peer, name)) this.#tellMain()
    const padded = bytes - TRANSPORT_OVERHEAD_BYTES
    if (padded === 0) return 0
    const plain = unpad(view, packet, padded, this.#tap)
    return plain > 0 ? plain : -1 - C.dropNotPrivate
  }

  /** Frees what is ready of keys that main has wiped since. */
  sweep(): void {
    this.#rangePeer = -1
    for (let slot = 0; slot < this.#ready.length; slot++) {
      const generation = this.#ready[slot]
      if (generation === 0 || this.#table.generation(slot >>> 1) === generation) continue
      this.#aead.clearKey(slot)
      this.#ready[slot] = 0
    }
  }

  /** The generation of the row's keys, which are ready then; 0 where there are none. */
  #readyKey(row: number, sealing: boolean): number {
    const generation = this.#table.generation(row)
    if ((generation & 1) === 0) return 0
    const slot = sealing ? row * 2 : row * 2 + 1
    if (this.#ready[slot] === generation) return generation
    this.#aead.setKey(slot, sealing ? this.#table.sendKey(row) : this.#table.receiveKey(row), sealing)
    const same = this.#table.generation(row) === generation
    this.#ready[slot] = same ? generation : 0
    if (!same) this.#aead.clearKey(slot)
    return same ? generation : 0
  }
}
