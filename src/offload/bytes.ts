import { readFileSync } from 'node:fs'
import type { NativeMemory } from '../linux/memory.js'
import { programFile } from '../package/files.js'

/** Operations on many bytes of the shared memory. `at`, `to` and `from` are offsets into it. */
export interface ByteOperations {
  /**
   * The sum of the Internet checksum (RFC 1071), over 16-bit words in this machine's byte order
   * (little-endian). It starts with `seed` (below 2^32). The result is folded to 16 bits and not complemented.
   * Write it to packets as a little-endian word: that is right, because the sum does not depend on the byte
   * order.
   */
  sum(at: number, bytes: number, seed: number): number
  /** Copies `bytes` bytes, and up to 15 more. The two places must not overlap. */
  copy(to: number, from: number, bytes: number): void
}

/** Uses SIMD if this machine and Node.js have it, and plain JavaScript otherwise. */
export function byteOperations(memory: NativeMemory): ByteOperations {
  return wasmOperations(memory) ?? scalarOperations(memory)
}

/** The WebAssembly build of wasm/bytes.ts; undefined if the engine or the processor lacks SIMD. */
export function wasmOperations({ memory }: NativeMemory): ByteOperations | undefined {
  const bytes = readFileSync(programFile('offload/bytes.wasm'))
  try {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } })
    return exports as unknown as ByteOperations
  } catch (error) {
    if (error instanceof WebAssembly.CompileError) return undefined
    throw error
  }
}

export function scalarOperations({ view, u8 }: NativeMemory): ByteOperations {
  return {
    sum(at, bytes, seed) {
      let total = seed
      const even = at + (bytes & ~1)
      for (let i = at; i < even; i += 2) total += view.getUint16(i, true)
      if ((bytes & 1) !== 0) total += u8[even]
      return fold(total)
    },
    copy(to, from, bytes) {
      for (let i = 0; i < bytes; i++) u8[to + i] = u8[from + i]
    },
  }
}

/** Adds the carries of a sum (below 2^53) back in until 16 bits are left. */
export function fold(total: number): number {
  let folded = total
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000)
  return folded
}

/** A 16-bit number in the other byte order. */
export function swap16(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8)
}

/**
 * Corrects the checksum at `at` after a word changed from `before` to `after` (RFC 1624, 3: HC' = ~(~HC + ~m +
 * m')).
 */
export function mendChecksum(view: DataView, at: number, before: number, after: number): void {
  const sum = (~view.getUint16(at) & 0xffff) + (~before & 0xffff) + after
  view.setUint16(at, ~fold(sum) & 0xffff)
}
