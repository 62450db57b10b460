import { createCipheriv, createDecipheriv } from 'node:crypto'
import { wipe } from '../crypto/primitives.js'
import type { TransportKeys } from '../noise/handshake.js'
import type { Activity, Keypairs } from '../noise/keypairs.js'
import { MESSAGE, TAG_BYTES, TRANSPORT, TRANSPORT_OVERHEAD_BYTES } from '../wire/wireguard.js'

interface Held {
  remoteIndex: number
  keys: TransportKeys | undefined
  sealed: number
}

/** The keypairs of somebody who says some words to one peer, and has no workers for that. */
export class FewKeypairs implements Keypairs {
  readonly #held = new Map<number, Held>()
  readonly #activity = { sentData: 0, sent: 0, receivedData: 0, received: 0 }
  #sealing: Held | undefined
  #nextIndex: number

  /** @param index the first, which the other end gets to know */
  constructor(index: number) {
    this.#nextIndex = index
  }

  get canSeal(): boolean {
    return this.#sealing !== undefined
  }

  reserve(): number {
    // Never 0.
    const index = this.#nextIndex || 1
    this.#nextIndex = (index + 1) >>> 0
    this.#held.set(index, { remoteIndex: 0, keys: undefined, sealed: 0 })
    return index
  }

  rowOf(index: number): number | undefined {
    return this.#held.has(index) ? 0 : undefined
  }

  /** A cookie that nobody asked for is not taken by the peer either. */
  expectCookie(): void {}

  establish(index: number, remoteIndex: number, keys: TransportKeys): void {
    this.#held.set(index, { remoteIndex, keys, sealed: 0 })
  }

  sealWith(_row: number, index: number | undefined): void {
    this.#sealing = index === undefined ? undefined : this.#held.get(index)
  }

  sealed(index: number): number {
    return this.#held.get(index)?.sealed ?? 0
  }

  release(index: number): void {
    const keys = this.#held.get(index)?.keys
    if (keys !== undefined) wipe(keys.send, keys.receive)
    this.#held.delete(index)
  }

  activity(): Activity {
    return { ...this.#activity }
  }

  /** Undefined if there are no keys yet. */
  seal(plain: Uint8Array): Buffer | undefined {
    const held = this.#sealing
    if (held?.keys === undefined) return undefined
    const header = Buffer.alloc(TRANSPORT.packet)
    header.writeUInt32LE(MESSAGE.transport, TRANSPORT.type)
    header.writeUInt32LE(held.remoteIndex, TRANSPORT.receiver)
    header.writeUInt32LE(held.sealed++, TRANSPORT.counter)
    const cipher = createCipheriv('chacha20-poly1305', held.keys.send, nonceOf(header), {
      authTagLength: TAG_BYTES,
    })
    this.#activity.sent++
    if (plain.length > 0) this.#activity.sentData++
    return Buffer.concat([header, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  }

  /** What a message holds; undefined if it cannot be opened. Who repeats one is answered in the same way. */
  open(message: Buffer): Buffer | undefined {
    if (message.length < TRANSPORT_OVERHEAD_BYTES) return undefined
    const keys = this.#held.get(message.readUInt32LE(TRANSPORT.receiver))?.keys
    if (keys === undefined) return undefined
    const decipher = createDecipheriv('chacha20-poly1305', keys.receive, nonceOf(message), {
      authTagLength: TAG_BYTES,
    })
    decipher.setAuthTag(message.subarray(-TAG_BYTES))
    const plain = decipher.update(message.subarray(TRANSPORT.packet, -TAG_BYTES))
    try {
      decipher.final()
    } catch {
      return undefined
    }
    this.#activity.received++
    if (plain.length > 0) this.#activity.receivedData++
    return plain
  }
}

function nonceOf(header: Buffer): Buffer {
  return Buffer.concat([Buffer.alloc(4), header.subarray(TRANSPORT.counter, TRANSPORT.packet)])
}
