import { createCipheriv } from 'node:crypto'
import { KEY_BYTES } from '../../crypto/ciphers.js'
import { wipe } from '../../crypto/primitives.js'
import type { NativeMemory } from '../../linux/memory.js'
import type { KeypairTable } from '../../memory/keypair-table.js'
import { sumPeerCounters } from '../../memory/peer-counters.js'
import type { TransportKeys } from '../../noise/handshake.js'
import type { Activity, Keypairs } from '../../noise/keypairs.js'
import { MESSAGE, TAG_BYTES, TRANSPORT, TRANSPORT_HEADER_BYTES } from '../../wire/wireguard.js'
import { FreeRows } from '../free-rows.js'

/** A row is not used again before so many others are free. */
const LEAST_FREE = 64

/** Main's access to the keypairs in shared memory. */
export class SharedKeypairs implements Keypairs {
  readonly #memory: NativeMemory
  readonly #table: KeypairTable
  readonly #counters: readonly Float64Array[]
  readonly #random: (bytes: number) => Uint8Array
  readonly #nowMs: () => number
  readonly #changed: () => void
  readonly #free: FreeRows
  readonly #reserved = new Map<number, number>()
  /** Those of them that the other end has not used yet. */
  readonly #unconfirmed = new Map<number, number>()
  /** How many messages main itself has sealed for each peer. */
  readonly #sent = new Map<number, number>()

  /**
   * @param counters the workers' blocks of peer counters
   * @param nowMs the clock by which keys age
   * @param changed called when there are new keys to seal with, or when keys were wiped that workers hold ready
   */
  constructor(
    memory: NativeMemory,
    table: KeypairTable,
    counters: readonly Float64Array[],
    random: (bytes: number) => Uint8Array,
    nowMs: () => number,
    changed: () => void,
  ) {
    this.#memory = memory
    this.#table = table
    this.#counters = counters
    this.#random = random
    this.#nowMs = nowMs
    this.#changed = changed
    this.#free = new FreeRows(table.rows, LEAST_FREE)
  }

  reserve(peer: number): number | undefined {
    const row = this.#free.take()
    if (row === undefined) return undefined
    const random = Buffer.from(this.#random(4)).readUInt32LE()
    const high = (random & ~(this.#table.rows - 1)) >>> 0
    // The index is never 0, and never one that is in use: its low bits are the row.
    const index = (high === 0 ? this.#table.rows : high) + row
    this.#table.reserve(row, index, peer)
    this.#reserved.set(index, peer)
    return index
  }

  rowOf(index: number): number | undefined {
    return this.#reserved.get(index)
  }

  expectCookie(index: number, expected: boolean): void {
    this.#table.expectCookie(this.#keyRowOf(index), expected)
  }

  establish(index: number, remoteIndex: number, keys: TransportKeys, overMs: number): void {
    this.#table.establish(this.#keyRowOf(index), remoteIndex, keys.send, keys.receive, overMs)
    const peer = this.#reserved.get(index)
    if (peer !== undefined) this.#unconfirmed.set(index, peer)
    wipe(keys.send, keys.receive)
  }

  sealWith(peer: number, index: number | undefined): void {
    this.#table.sealWith(peer, index === undefined ? -1 : this.#keyRowOf(index))
    this.#changed()
  }

  sealed(index: number): number {
    return this.#table.taken(this.#keyRowOf(index))
  }

  release(index: number): void {
    const row = this.#keyRowOf(index)
    const ready = this.#table.isEstablished(row)
    this.#table.release(row)
    this.#reserved.delete(index)
    this.#unconfirmed.delete(index)
    this.#free.give([row])
    if (ready) this.#changed()
  }

  /** The keypairs that the other end has begun to use since main last asked. */
  confirmed(): { index: number; peer: number }[] {
    const found: { index: number; peer: number }[] = []
    for (const [index, peer] of this.#unconfirmed) {
      if (!this.#table.isConfirmed(this.#keyRowOf(index))) continue
      this.#unconfirmed.delete(index)
      found.push({ index, peer })
    }
    return found
  }

  activity(peer: number): Activity {
    const counts = sumPeerCounters(peer, ...this.#counters)
    const { sentFrames: sentData, receivedFrames: receivedData, receivedKeepalives } = counts
    return {
      sentData,
      sent: sentData + (this.#sent.get(peer) ?? 0),
      receivedData,
      received: receivedData + receivedKeepalives,
    }
  }

  /**
   * Seals a message of main's own, already padded; undefined if there is no keypair to seal with.
   * @param type the first word of its header
   */
  seal(peer: number, plain: Uint8Array, type: number = MESSAGE.transport): Buffer | undefined {
    const table = this.#table
    const row = table.sealingKeyRow(peer)
    const number =
      row < 0 || table.overMs(row) <= this.#nowMs() ? -1 : table.take(row, table.generation(row), 1)
    if (number < 0) return undefined
    const header = Buffer.alloc(TRANSPORT_HEADER_BYTES)
    header.writeUInt32LE(type, TRANSPORT.type)
    header.writeUInt32LE(table.remoteIndex(row), TRANSPORT.receiver)
    header.writeUInt32LE(number, TRANSPORT.counter)
    const nonce = Buffer.concat([Buffer.alloc(4), header.subarray(TRANSPORT.counter)])
    const at = table.sendKey(row)
    const key = Buffer.alloc(KEY_BYTES)
    key.set(this.#memory.u8.subarray(at, at + KEY_BYTES))
    const cipher = createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: TAG_BYTES })
    wipe(key)
    this.#sent.set(peer, (this.#sent.get(peer) ?? 0) + 1)
    return Buffer.concat([header, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  }

  #keyRowOf(index: number): number {
    return index & (this.#table.rows - 1)
  }
}
