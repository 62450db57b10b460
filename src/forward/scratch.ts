import type { NativeMemory } from '../linux/memory.js'
import { iovec, mmsghdr, msghdr } from '../linux/structs.js'
import { SCRATCH_BYTES } from './plan.js'

/** Hands out a worker's own memory at start, for the structures that its system calls point at. */
export class Scratch {
  readonly memory: NativeMemory
  #next: number
  readonly #end: number

  constructor(memory: NativeMemory, at: number) {
    this.memory = memory
    this.#next = at
    this.#end = at + SCRATCH_BYTES
  }

  /** `bytes` of zeros on cache lines of their own; returns the offset. */
  take(bytes: number): number {
    const at = this.#next
    this.#next += (bytes + 63) & -64
    if (this.#next > this.#end) throw new RangeError('the scratch memory is too small')
    return at
  }
}

/** An array of `struct mmsghdr`, each with one `struct iovec` and, where wanted, a name of its own. */
export class MessageVector {
  readonly count: number
  /** Address of the array. */
  readonly address: bigint
  readonly #memory: NativeMemory
  readonly #messages: number
  readonly #iovecs: number

  constructor(scratch: Scratch, count: number) {
    this.count = count
    this.#memory = scratch.memory
    this.#messages = scratch.take(count * mmsghdr.size)
    this.#iovecs = scratch.take(count * iovec.size)
    this.address = this.#memory.address(this.#messages)
    for (let i = 0; i < count; i++) {
      const message = this.#messages + i * mmsghdr.size
      this.#memory.writePointer(message + msghdr.msg_iov, this.#iovecs + i * iovec.size)
      this.#memory.u32[(message + msghdr.msg_iovlen) >>> 2] = 1
    }
  }

  /** Message `index` is `bytes` at `offset`. */
  setBuffer(index: number, offset: number, bytes: number): void {
    const at = this.#iovecs + index * iovec.size
    this.#memory.writePointer(at + iovec.iov_base, offset)
    this.#memory.u32[(at + iovec.iov_len) >>> 2] = bytes
  }

  /** Its address is, or is to be put into, `bytes` at `offset`. */
  setName(index: number, offset: number, bytes: number): void {
    const at = this.#messages + index * mmsghdr.size
    this.#memory.writePointer(at + msghdr.msg_name, offset)
    this.#memory.u32[(at + msghdr.msg_namelen) >>> 2] = bytes
  }

  /** Bytes received into message `index`. */
  receivedBytes(index: number): number {
    return this.#memory.u32[(this.#messages + index * mmsghdr.size + mmsghdr.msg_len) >>> 2]
  }

  flags(index: number): number {
    return this.#memory.u32[(this.#messages + index * mmsghdr.size + msghdr.msg_flags) >>> 2]
  }
}
