import type { Aead } from '../crypto/ciphers.js'
import type { Encap } from '../encap/encap.js'
import type { NativeMemory } from '../linux/memory.js'
import { C } from '../memory/counters.js'
import type { KeypairTable } from '../memory/keypair-table.js'
import { NAME } from '../memory/name.js'
import type { PeerTable } from '../memory/peer-table.js'
import { ReplayWindow } from '../memory/replay-window.js'
import { isCheck } from '../wire/control.js'
import { RELAY_HEADER_BYTES } from '../wire/relay.js'
import {
  MESSAGE,
  TRANSPORT,
  TRANSPORT_HEADER_BYTES,
  TRANSPORT_OVERHEAD_BYTES,
  writeTransportHeader,
} from '../wire/wireguard.js'

export interface KeyringOptions {
  readonly memory: NativeMemory
  readonly table: KeypairTable
  readonly aead: Aead
  readonly peers: PeerTable
  readonly encap: Encap
  /** The last reading of the clock by which keys age (`linux/clock.ts`): one number. */
  readonly clockMs: Float64Array
  /** Wakes main, unless it has been told and has not looked since. */
  readonly tellMain: () => void
}

/** The most numbers taken at once: those of a super-frame. */
const MAX_RANGE = 64

/**
 * One thread's keys. It prepares a key of the table at its first use, and seals and opens messages with it. Any
 * thread may seal. Only the udp worker opens, because the replay windows have no lock.
 */
export class Keyring {
  /** The row of the peer that sent the message opened last. */
  row = 0
  /** The generation of the keys that {@link find} has found last. */
  generation = 0
  /**
   * If {@link open} returns 0: bytes of the connectivity check that was in the message and came from elsewhere than where
   * its sender is. It moves nobody. Whoever takes it sets this to 0.
   */
  checkBytes = 0
  readonly #memory: NativeMemory
  readonly #table: KeypairTable
  readonly #aead: Aead
  readonly #peers: PeerTable
  readonly #encap: Encap
  readonly #clockMs: Float64Array
  readonly #tellMain: () => void
  readonly #window: ReplayWindow
  /**
   * Generations of the prepared keys: for each keypair, the one to seal with and the one to open with. 0 is
   * none.
   */
  readonly #ready: Int32Array
  /** When the first of the prepared keys expires: one number, on the same clock. */
  readonly #overMs = new Float64Array([Number.POSITIVE_INFINITY])
  /**
   * Numbers taken but not yet used: their peer's row (-1 for none), their keys, the first number, and the
   * end.
   */
  #rangeRow = -1
  #keyRow = 0
  /** The index of {@link next}'s keys at the other end. */
  remoteIndex = 0
  #next = 0
  #end = 0
  #expected = 1

  constructor({ memory, table, aead, peers, encap, clockMs, tellMain }: KeyringOptions) {
    this.#memory = memory
    this.#table = table
    this.#aead = aead
    this.#peers = peers
    this.#encap = encap
    this.#clockMs = clockMs
    this.#tellMain = tellMain
    this.#window = new ReplayWindow(memory)
    this.#ready = new Int32Array(table.rows * 2)
  }

  /**
   * Announces that `frames` frames for one peer come next. Their numbers are taken at once. Numbers left from
   * before are skipped, which does no harm.
   */
  expect(frames: number): void {
    this.#expected = Math.min(frames, MAX_RANGE)
    this.#rangeRow = -1
  }

  /**
   * Seals `bytes` padded bytes for the peer in row `row` in a slot of the {@link Aead}, and writes the header
   * before them. Without a key it tells main.
   * @param header offset of the header
   * @param type the header's first word
   * @returns false if there is no key
   */
  seal(row: number, header: number, slot: number, bytes: number, type: number = MESSAGE.transport): boolean {
    const number = this.next(row)
    if (number < 0) return false
    this.#aead.seal(this.sealingKeySlot, 0, number, slot, bytes)
    writeTransportHeader(this.#memory.u32, header, type, this.remoteIndex, 0, number)
    return true
  }

  /**
   * Takes the number of the next message to the peer in row `row`. Its keys are in {@link sealingKeySlot}. Without a key it
   * tells main.
   * @returns the number, -1 if there is no key
   */
  next(row: number): number {
    if (row !== this.#rangeRow || this.#next === this.#end) {
      if (!this.#takeRange(row)) {
        if (this.#table.want(row)) this.#tellMain()
        return -1
      }
    }
    return this.#next++
  }

  /** The key slot of the message whose number was taken last. */
  get sealingKeySlot(): number {
    return this.#keyRow * 2
  }

  #takeRange(row: number): boolean {
    this.#rangeRow = -1
    const keyRow = this.#table.sealingKeyRow(row)
    const generation = keyRow < 0 ? 0 : this.#readyKey(keyRow, true)
    // The keypair's row may have been given to another peer since.
    if (generation === 0 || this.#table.row(keyRow) !== row) return false
    const remoteIndex = this.#table.remoteIndex(keyRow)
    const first = this.#table.take(keyRow, generation, this.#expected)
    if (first < 0) return false
    this.#rangeRow = row
    this.#keyRow = keyRow
    this.remoteIndex = remoteIndex
    this.#next = first
    this.#end = first + this.#expected
    return true
  }

  /**
   * Opens the `bytes` bytes of transport data at offset `at`, in place. The content, without its padding, is
   * then at `at` + {@link TRANSPORT_HEADER_BYTES}.
   * @param name offset of the name that it is from
   * @returns bytes of the content, 0 for a keepalive; on failure a negative number: -1 minus the drop counter's
   * index
   */
  open(at: number, bytes: number, name: number): number {
    if (bytes < TRANSPORT_OVERHEAD_BYTES) return -1 - C.dropNotPrivate
    return this.#look(at, this.#open(at, bytes), name)
  }

  /**
   * What is in the message at `at`, once it is open and its sender known.
   * @param padded bytes of the padded content, or what it was dropped for
   */
  #look(at: number, padded: number, name: number): number {
    if (padded < 0) return padded
    const { view } = this.#memory
    const packet = at + TRANSPORT_HEADER_BYTES
    const plain = padded === 0 ? 0 : this.#encap.unpad(view, packet, padded)
    if (!this.#isWhereKnown(this.row, name)) {
      // Nor does one to another address of this host change where its sender is answered from.
      if (plain > 0 && isCheck(view, packet, plain, this.#encap.ethernet)) {
        this.checkBytes = plain
        return 0
      }
      this.#follow(this.row, name)
    }
    return plain > 0 || padded === 0 ? plain : -1 - C.dropNotPrivate
  }

  /**
   * Opens the header of a relayed message (wire/relay.ts) at offset `at`, in place.
   * @param name as for {@link open}
   * @returns as {@link open} does
   */
  openRelayHeader(at: number, name: number): number {
    const opened = this.#open(at, RELAY_HEADER_BYTES)
    if (opened >= 0 && !this.#isWhereKnown(this.row, name)) this.#follow(this.row, name)
    return opened
  }

  /** The same as {@link open}, with the padding. It does not look where the message is from. */
  #open(at: number, bytes: number): number {
    const keyRow = this.find(at)
    if (keyRow < 0) return keyRow
    const { view } = this.#memory
    const low = view.getUint32(at + TRANSPORT.counter, true)
    const high = view.getUint32(at + TRANSPORT.counter + 4, true)
    const sealed = at + TRANSPORT_HEADER_BYTES
    const authentic = this.#aead.open(keyRow * 2 + 1, high, low, sealed, bytes - TRANSPORT_HEADER_BYTES)
    return authentic ? this.#accept(at, bytes, keyRow, this.generation) : -1 - C.dropNotAuthentic
  }

  /**
   * The keypair's row of the keys that open the transport data at `at`, which are then prepared in key slot 2 × row + 1.
   * Their generation is in {@link generation}.
   * @returns a negative number as {@link open} if there are no such keys, or if the message has come already
   */
  find(at: number): number {
    const { view } = this.#memory
    const keyRow = this.#table.keyRowOf(view.getUint32(at + TRANSPORT.receiver, true))
    const generation = keyRow < 0 ? 0 : this.#readyKey(keyRow, false)
    if (generation === 0) return -1 - C.dropUnknownIndex
    const low = view.getUint32(at + TRANSPORT.counter, true)
    const high = view.getUint32(at + TRANSPORT.counter + 4, true)
    if (!this.#window.isFresh(this.#table.window(keyRow), high, low)) return -1 - C.dropReplayed
    this.generation = generation
    return keyRow
  }

  /**
   * Finishes what {@link find} has begun, when somebody has opened the message in place.
   * @param keyRow what `find` has returned
   * @param generation the {@link generation} then
   * @returns as {@link open}
   */
  opened(at: number, bytes: number, keyRow: number, generation: number, name: number): number {
    return this.#look(at, this.#accept(at, bytes, keyRow, generation), name)
  }

  #accept(at: number, bytes: number, keyRow: number, generation: number): number {
    const row = this.#table.row(keyRow)
    // If main has wiped the keys meanwhile, the keypair's row and its window may belong to another peer now.
    if (this.#table.generation(keyRow) !== generation) return -1 - C.dropUnknownIndex
    const { view } = this.#memory
    const low = view.getUint32(at + TRANSPORT.counter, true)
    const high = view.getUint32(at + TRANSPORT.counter + 4, true)
    // A run may have the same message twice.
    if (!this.#window.accept(this.#table.window(keyRow), high, low)) return -1 - C.dropReplayed
    this.row = row
    if (this.#table.confirm(keyRow, generation)) this.#tellMain()
    return bytes - TRANSPORT_OVERHEAD_BYTES
  }

  /**
   * Whether a message has come from where its peer is, to the address of this host that the peer speaks to. What was
   * relayed says nothing of that.
   */
  #isWhereKnown(row: number, name: number): boolean {
    if (this.#memory.u32[(name + NAME.via) >>> 2] !== 0) return true
    return this.#peers.isFrom(row, name) && this.#peers.speaksTo(row, name)
  }

  /** Tells main if the peer in this row is elsewhere now, or speaks to another address of this host. */
  #follow(row: number, name: number): void {
    if (!this.#peers.isFrom(row, name) && this.#table.move(row, name)) this.#tellMain()
    if (!this.#peers.speaksTo(row, name) && this.#peers.noteLocal(row, name)) this.#tellMain()
  }

  /**
   * Call it after each sleep, when the clock has been read. After a suspend, a worker must not wait for main to
   * find out which keys have expired.
   */
  look(): void {
    if (this.#clockMs[0] >= this.#overMs[0]) this.sweep()
  }

  /** Frees prepared keys that main has wiped, or that have expired. */
  sweep(): void {
    this.#rangeRow = -1
    this.#overMs[0] = Number.POSITIVE_INFINITY
    for (let keySlot = 0; keySlot < this.#ready.length; keySlot++) {
      const generation = this.#ready[keySlot]
      if (generation === 0) continue
      const overMs = this.#table.overMs(keySlot >>> 1)
      if (this.#table.generation(keySlot >>> 1) === generation && overMs > this.#clockMs[0]) {
        if (overMs < this.#overMs[0]) this.#overMs[0] = overMs
        continue
      }
      this.#aead.clearKey(keySlot)
      this.#ready[keySlot] = 0
    }
  }

  /** The generation of a keypair row's keys, which are then prepared; 0 if there are none. */
  #readyKey(keyRow: number, sealing: boolean): number {
    const generation = this.#table.generation(keyRow)
    if ((generation & 1) === 0) return 0
    const keySlot = sealing ? keyRow * 2 : keyRow * 2 + 1
    if (this.#ready[keySlot] === generation) return generation
    const overMs = this.#table.overMs(keyRow)
    if (overMs <= this.#clockMs[0]) return 0
    this.#aead.setKey(
      keySlot,
      sealing ? this.#table.sendKey(keyRow) : this.#table.receiveKey(keyRow),
      sealing,
    )
    const same = this.#table.generation(keyRow) === generation
    this.#ready[keySlot] = same ? generation : 0
    if (!same) this.#aead.clearKey(keySlot)
    else if (overMs < this.#overMs[0]) this.#overMs[0] = overMs
    return same ? generation : 0
  }
}
