import { secretBytes } from '../../key-text.js'
import { EINVAL } from '../../linux/errno.js'
import type { SetOperation } from './operation.js'
import { parseSet } from './set-text.js'

/** No operation is longer. A `set` of 4,096 peers with 16,384 networks takes half of that. */
const MAX_BYTES = 4 * 1024 * 1024

const FIRST_BYTES = 4096

const NEWLINE = 0x0a
const GET = Buffer.from('get=1\n')
const SET = Buffer.from('set=1\n')
/** The last line of an operation is empty. */
const END = Buffer.from('\n\n')

/** An operation; or the errno of one that makes no sense. */
export type ReadOperation = 'get' | SetOperation | number

/** Takes the bytes of one connection, and finds the operations in them. Keys may be among the bytes. */
export class OperationReader {
  #bytes = secretBytes(FIRST_BYTES)
  #length = 0
  #isLost = false

  /** Whether the other side speaks another protocol, or has no end. Nothing more is found then. */
  get isLost(): boolean {
    return this.#isLost
  }

  /** Copies the bytes. The caller wipes them. */
  push(chunk: Uint8Array): void {
    if (this.#isLost) return
    const length = this.#length + chunk.length
    if (length > MAX_BYTES) {
      this.#lose()
      return
    }
    if (length > this.#bytes.length) {
      const before = this.#bytes
      this.#bytes = secretBytes(Math.max(length, 2 * before.length))
      this.#bytes.set(before.subarray(0, this.#length))
      before.fill(0)
    }
    this.#bytes.set(chunk, this.#length)
    this.#length = length
  }

  /** The next operation that is whole; undefined if there is none yet. */
  next(): ReadOperation | undefined {
    const bytes = this.#bytes.subarray(0, this.#length)
    const first = bytes.subarray(0, GET.length)
    if (!first.equals(GET.subarray(0, first.length)) && !first.equals(SET.subarray(0, first.length))) {
      this.#lose()
      return undefined
    }
    if (bytes.length <= GET.length) return undefined
    if (first.equals(GET)) {
      const isRight = bytes[GET.length] === NEWLINE
      this.#drop(GET.length + 1)
      return isRight ? 'get' : EINVAL
    }
    // The first line's newline may be the first of the two.
    const end = bytes.indexOf(END, SET.length - 1)
    if (end < 0) return undefined
    const operation = parseSet(bytes.subarray(SET.length, end + 1))
    this.#drop(end + END.length)
    return operation
  }

  wipe(): void {
    this.#bytes.fill(0)
    this.#length = 0
  }

  #lose(): void {
    this.#isLost = true
    this.wipe()
  }

  /** Takes the first bytes away. */
  #drop(bytes: number): void {
    this.#bytes.copyWithin(0, bytes, this.#length)
    this.#bytes.fill(0, this.#length - bytes, this.#length)
    this.#length -= bytes
  }
}
