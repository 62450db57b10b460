import { EBADFD, EIO } from '../linux/errno.js'
import { lastErrno, readv, writev } from '../linux/libc.js'
import { iovec } from '../linux/structs.js'
import { C } from './counters.js'
import { BLOCKED, DONE, MORE, type Port, type Progress } from './port.js'
import { framesOffset, KIND_RUN, MAX_FRAME_BYTES, Records } from './record.js'
import type { Ring } from './ring.js'
import type { Scratch } from './scratch.js'

/** Frames in one record at the most, and the bytes after which it is handed over. */
const RUN_FRAMES = 32
const RUN_BYTES = 64 * 1024

/** The tap or tun device: a frame is a read, a frame is a write. */
export class TapPort implements Port {
  readonly fd: number
  readonly recordBytes = framesOffset(RUN_FRAMES) + ((RUN_BYTES + MAX_FRAME_BYTES + 63) & -64)
  readonly #counters: Float64Array
  readonly #u32: Uint32Array
  readonly #records: Records
  readonly #scratch: Scratch
  readonly #iov: number
  readonly #iovAddress: bigint

  constructor(fd: number, scratch: Scratch, counters: Float64Array) {
    this.fd = fd
    this.#counters = counters
    this.#u32 = scratch.memory.u32
    this.#records = new Records(scratch.memory)
    this.#scratch = scratch
    this.#iov = scratch.take(iovec.size)
    this.#iovAddress = scratch.memory.address(this.#iov)
  }

  fill(ring: Ring): Progress {
    const record = ring.reserve(this.recordBytes)
    if (record < 0) return BLOCKED
    const counters = this.#counters
    const first = record + framesOffset(RUN_FRAMES)
    let at = first
    let count = 0
    let progress: Progress = MORE
    while (count < RUN_FRAMES && at - first < RUN_BYTES) {
      this.#point(at, MAX_FRAME_BYTES)
      const bytes = readv(this.fd, this.#iovAddress, 1)
      counters[C.syscalls]++
      if (bytes < 0) {
        const errno = lastErrno()
        if (errno === EBADFD) throw new Error('the device has been deleted')
        progress = DONE
        break
      }
      this.#records.setEntry(record, count++, at, bytes, 0, 0)
      counters[C.readBytes] += bytes
      at = (at + bytes + 63) & -64
    }
    if (count > 0) {
      counters[C.readFrames] += count
      this.#records.setCount(record, count)
      ring.commit(at - record, KIND_RUN)
    }
    return progress
  }

  drain(ring: Ring): Progress {
    const record = ring.peek()
    if (record < 0) return DONE
    if (this.#records.kind(record) === KIND_RUN) {
      const count = this.#records.count(record)
      for (let i = 0; i < count; i++)
        this.#write(this.#records.offset(record, i), this.#records.bytes(record, i))
    }
    ring.release()
    return MORE
  }

  #write(offset: number, bytes: number): void {
    const counters = this.#counters
    this.#point(offset, bytes)
    counters[C.syscalls]++
    if (writev(this.fd, this.#iovAddress, 1) >= 0) {
      counters[C.writtenFrames]++
      counters[C.writtenBytes] += bytes
      return
    }
    const errno = lastErrno()
    if (errno === EBADFD) throw new Error('the device has been deleted')
    counters[errno === EIO ? C.dropDeviceDown : C.dropDeviceRefused]++
  }

  #point(offset: number, bytes: number): void {
    this.#scratch.memory.writePointer(this.#iov + iovec.iov_base, offset)
    this.#u32[(this.#iov + iovec.iov_len) >>> 2] = bytes
  }

  handleError(): void {}
}
