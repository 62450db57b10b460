import koffi from 'koffi'
import { MADV_DONTDUMP, MADV_DONTNEED, MLOCK_ONFAULT } from './constants.js'
import { getpagesize, lastErrno, madvise, mlock2 } from './libc.js'

/** A page of WebAssembly. It is a multiple of every kernel's page size. */
const PAGE_BYTES = 65_536

/** A page of this kernel. Some of arm64 have 16 or 64 KiB; madvise(2) refuses what does not begin with a page. */
const SYSTEM_PAGE_BYTES = getpagesize()

/**
 * Memory that threads share and that the kernel reads and writes: a WebAssembly memory, because its buffer
 * never moves. Its address is valid only while the memory is referenced. Keep this object while any address
 * from it is in use.
 */
export class NativeMemory {
  readonly memory: WebAssembly.Memory
  readonly u8: Uint8Array
  readonly u16: Uint16Array
  readonly u32: Uint32Array
  readonly i32: Int32Array
  readonly f64: Float64Array
  readonly view: DataView
  readonly #base: bigint
  readonly #baseLow: number
  readonly #baseHigh: number

  /** @param memory a shared memory that must never grow */
  constructor(memory: WebAssembly.Memory) {
    const buffer = memory.buffer
    this.memory = memory
    this.u8 = new Uint8Array(buffer)
    this.u16 = new Uint16Array(buffer)
    this.u32 = new Uint32Array(buffer)
    this.i32 = new Int32Array(buffer)
    this.f64 = new Float64Array(buffer)
    this.view = new DataView(buffer)
    this.#base = koffi.address(this.u8)
    this.#baseLow = Number(this.#base & 0xffffffffn)
    this.#baseHigh = Number(this.#base >> 32n)
  }

  /** A new memory of at least `bytes`, filled with zeros. */
  static allocate(bytes: number): NativeMemory {
    const pages = Math.ceil(bytes / PAGE_BYTES)
    return new NativeMemory(new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }))
  }

  get byteLength(): number {
    return this.u8.byteLength
  }

  /**
   * The address of byte `offset`. Make it once at start and keep it. An address that is computed for each call
   * would leave garbage for each frame.
   */
  address(offset: number): bigint {
    return this.#base + BigInt(offset)
  }

  /**
   * Gives the pages that are completely in this part back to the kernel. They are zero again (madvise(2)).
   */
  release(offset: number, bytes: number): void {
    const start = Math.ceil(offset / PAGE_BYTES) * PAGE_BYTES
    const end = Math.floor((offset + bytes) / PAGE_BYTES) * PAGE_BYTES
    if (end > start) madvise(this.address(start), end - start, MADV_DONTNEED)
  }

  /**
   * Keeps the pages of this part out of core dumps and, once they are written, out of swap (mlock(2),
   * `MLOCK_ONFAULT`). It is for secrets, which need only a few pages. It always affects whole pages.
   * @returns 0, or the errno if the kernel refuses to lock them because of the limit `RLIMIT_MEMLOCK`
   */
  keepInRam(offset: number, bytes: number): number {
    const start = offset - (offset % SYSTEM_PAGE_BYTES)
    const length = Math.ceil((offset + bytes) / SYSTEM_PAGE_BYTES) * SYSTEM_PAGE_BYTES - start
    madvise(this.address(start), length, MADV_DONTDUMP)
    return mlock2(this.address(start), length, MLOCK_ONFAULT) === 0 ? 0 : lastErrno()
  }

  /**
   * Writes the address of byte `target` as a 64-bit pointer (little-endian) at byte `at`, a multiple of 4.
   */
  writePointer(at: number, target: number): void {
    const low = this.#baseLow + target
    this.u32[at >>> 2] = low
    this.u32[(at >>> 2) + 1] = low > 0xffffffff ? this.#baseHigh + 1 : this.#baseHigh
  }
}
