import { createCipheriv } from 'node:crypto'

/** Bytes that look random but are the same for the same seed: an AES-128-CTR key stream, read in pieces. */
export class Noise {
  readonly #cipher

  constructor(seed: number) {
    const key = Buffer.alloc(16)
    key.writeUInt32LE(seed >>> 0)
    this.#cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16))
  }

  bytes(count: number): Buffer {
    return this.#cipher.update(Buffer.alloc(count))
  }

  /** A whole number from `from` to `to`, both included. */
  integer(from: number, to: number): number {
    return from + (this.bytes(4).readUInt32LE() % (to - from + 1))
  }
}
