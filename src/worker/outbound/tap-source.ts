import { VIRTIO_NET_HDR_GSO_NONE } from '../../linux/constants.js'
import { EBADFD } from '../../linux/errno.js'
import { lastErrno, readv } from '../../linux/libc.js'
import { iovec, virtio_net_hdr } from '../../linux/structs.js'
import { C } from '../../memory/counters.js'
import { framesOffset, MAX_FRAME_BYTES, Records } from '../../memory/record.js'
import type { Ring } from '../../memory/ring.js'
import { BLOCKED, DONE, MORE, type Progress, type Source } from '../port.js'
import type { Scratch } from '../scratch.js'

/** The most frames in one record, and the bytes after which a record is handed over. */
const RUN_FRAMES = 64
const RUN_BYTES = 32 * 1024

/**
 * Reads the device. Each read gives a `virtio_net_hdr` and a frame or a super-frame. A record's entries point
 * at the frames. The header stays right before each frame.
 */
export class TapSource implements Source {
  readonly fd: number
  readonly recordBytes = framesOffset(RUN_FRAMES) + ((RUN_BYTES + MAX_FRAME_BYTES + 63) & -64)
  filledBytes = 0
  readonly #counters: Float64Array
  readonly #records: Records
  readonly #scratch: Scratch
  readonly #iov: number
  readonly #iovAddress: bigint
  /**
   * The most frames in the next record. After a sleep it is one, so that the frame is passed on at once; then
   * more.
   */
  #limit = 1

  constructor(fd: number, scratch: Scratch, counters: Float64Array) {
    this.fd = fd
    this.#counters = counters
    this.#records = new Records(scratch.memory)
    this.#scratch = scratch
    this.#iov = scratch.take(iovec.size)
    this.#iovAddress = scratch.memory.address(this.#iov)
    scratch.memory.u32[(this.#iov + iovec.iov_len) >>> 2] = MAX_FRAME_BYTES
  }

  fill(ring: Ring): Progress {
    const record = ring.reserve(this.recordBytes)
    if (record < 0) return BLOCKED
    const { memory } = this.#scratch
    const counters = this.#counters
    const first = record + framesOffset(RUN_FRAMES)
    let at = first
    this.filledBytes = 0
    let count = 0
    let progress: Progress = MORE
    while (count < this.#limit && at - first < RUN_BYTES) {
      memory.writePointer(this.#iov + iovec.iov_base, at)
      const bytes = readv(this.fd, this.#iovAddress, 1)
      counters[C.syscalls]++
      if (bytes < 0) {
        if (lastErrno() === EBADFD) throw new Error('the device has been deleted')
        progress = DONE
        break
      }
      const single = memory.u8[at + virtio_net_hdr.gso_type] === VIRTIO_NET_HDR_GSO_NONE
      if (!single) counters[C.superFramesRead]++
      const gsoSize = single ? 0 : memory.view.getUint16(at + virtio_net_hdr.gso_size, true)
      const frameBytes = bytes - virtio_net_hdr.size
      this.#records.setEntry(record, count++, at + virtio_net_hdr.size, frameBytes, gsoSize, 0)
      counters[C.readBytes] += frameBytes
      at = (at + bytes + 63) & -64
    }
    this.#limit = progress === DONE ? 1 : RUN_FRAMES
    if (count > 0) {
      this.filledBytes = at - first
      counters[C.readFrames] += count
      this.#records.setCount(record, count)
      ring.commit(at - record)
    }
    return progress
  }

  handleError(): void {}
}
