/**
 * AssemblyScript. `npm run build` compiles it to bytes.wasm. It works on the memory of the rings and has no
 * data and no heap of its own.
 */

/**
 * The sum of the Internet checksum (RFC 1071) of `bytes` bytes at `at`, over 16-bit words in this machine's
 * byte order; the sum does not depend on that order. It starts with `seed`. The result is folded to 16 bits and
 * not complemented.
 */
export function sum(at: usize, bytes: i32, seed: u32): u32 {
  let total: u64 = seed
  let lanes = i32x4.splat(0)
  while (bytes >= 64) {
    const a = i32x4.add(
      i32x4.extadd_pairwise_i16x8_u(v128.load(at)),
      i32x4.extadd_pairwise_i16x8_u(v128.load(at, 16)),
    )
    const b = i32x4.add(
      i32x4.extadd_pairwise_i16x8_u(v128.load(at, 32)),
      i32x4.extadd_pairwise_i16x8_u(v128.load(at, 48)),
    )
    lanes = i32x4.add(lanes, i32x4.add(a, b))
    at += 64
    bytes -= 64
  }
  while (bytes >= 16) {
    lanes = i32x4.add(lanes, i32x4.extadd_pairwise_i16x8_u(v128.load(at)))
    at += 16
    bytes -= 16
  }
  total += <u64>(<u32>i32x4.extract_lane(lanes, 0))
  total += <u64>(<u32>i32x4.extract_lane(lanes, 1))
  total += <u64>(<u32>i32x4.extract_lane(lanes, 2))
  total += <u64>(<u32>i32x4.extract_lane(lanes, 3))
  while (bytes >= 2) {
    total += <u64>load<u16>(at)
    at += 2
    bytes -= 2
  }
  if (bytes > 0) total += <u64>load<u8>(at)
  while (total >> 16 !== 0) total = (total & 0xffff) + (total >> 16)
  return <u32>total
}

/** Copies `bytes` bytes, and up to 15 more, from `from` to `to`. The two places must not overlap. */
export function copy(to: usize, from: usize, bytes: i32): void {
  while (bytes > 0) {
    v128.store(to, v128.load(from))
    to += 16
    from += 16
    bytes -= 16
  }
}
