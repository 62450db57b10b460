import {
  BPF_FUNC_ktime_get_coarse_ns,
  BPF_FUNC_map_lookup_elem,
  BPF_FUNC_map_push_elem,
  BPF_FUNC_skb_load_bytes,
} from '../linux/constants.js'
import { __sk_buff } from '../linux/structs.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, UDP_HEADER_BYTES } from '../wire/ip.js'
import { IPV4 } from '../wire/ipv4.js'
import { IPV6 } from '../wire/ipv6.js'
import { IPPROTO_TCP, TCP } from '../wire/tcp.js'
import { IPPROTO_UDP } from '../wire/udp.js'
import {
  type Assembler,
  FP,
  type Operand,
  R0,
  R1,
  R2,
  R3,
  R4,
  R6,
  R7,
  R9,
  type Register,
} from './assembler.js'
import { NEWS_PROBE, TRIAL_NS } from './layout.js'

const NO_FLAGS = 0

/** A 16-bit number of the wire, as a little-endian processor reads it. */
export function bigEndian16(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8)
}

/** A 32-bit number of the wire, as a little-endian processor reads it, with its sign. */
export function bigEndian32(value: number): number {
  return (bigEndian16(value & 0xffff) << 16) | bigEndian16(value >>> 16)
}

/** Folds a sum of less than 2^32 into 16 bits, with the carries (RFC 1071). `other` is overwritten. */
export function fold16(a: Assembler, sum: Register, other: Register): void {
  for (let round = 0; round < 2; round++) {
    a.move(other, sum).alu('shiftRight', other, 16).alu('and', sum, 0xffff).alu('add', sum, other)
  }
}

/** R7 = the frame, of which so many bytes can be read; or a jump to `next`. R6 is the context. */
export function mustRead(a: Assembler, bytes: number): void {
  a.load(4, R7, R6, __sk_buff.data).load(4, R2, R6, __sk_buff.data_end)
  a.move(R1, R7).alu('add', R1, bytes).jumpIf(R1, '>', R2, 'next')
}

/** R1 = the version of the IP packet at R7. */
export function packetVersion(a: Assembler): Assembler {
  return a.load(1, R1, R7, 0).alu('shiftRight', R1, 4)
}

/** Bytes of stack that {@link segmentHeaders} uses. */
export const SEGMENT_STACK_BYTES = 24

export interface SuperFrame {
  /** Where it begins: a number, or R8 or R9. */
  readonly at: Operand
  /** Bytes before its IP header: those of the Ethernet header, or 0. */
  readonly l2Bytes: number
}

/**
 * `result` = the bytes of headers that each frame of a super-frame has. R6 is the context. Jumps to `failed` if it is
 * not TCP or UDP, as after an extension header.
 *
 * @param result R7, R8 or R9
 * @param stack offset of {@link SEGMENT_STACK_BYTES}
 */
export function segmentHeaders(
  a: Assembler,
  { at: frame, l2Bytes: ip }: SuperFrame,
  result: Register,
  stack: number,
  failed: string,
): void {
  a.move(R1, R6)
    .move(R2, frame)
    .alu('add', R2, ip)
    .move(R3, FP)
    .alu('add', R3, stack)
    .move(R4, IPV4_HEADER_BYTES)
  a.call(BPF_FUNC_skb_load_bytes).jumpIf(R0, '!=', 0, failed)
  a.load(1, result, FP, stack + IPV4.versionIhl)
    .move(R2, result)
    .alu('shiftRight', R2, 4)
  a.jumpIf(R2, '==', 6, 'segment6')
  a.alu('and', result, 0xf)
    .alu('shiftLeft', result, 2)
    .load(1, R1, FP, stack + IPV4.protocol)
    .jump('segment')
  a.label('segment6')
    .move(result, IPV6_HEADER_BYTES)
    .load(1, R1, FP, stack + IPV6.nextHeader)
  a.label('segment').jumpIf(R1, '==', IPPROTO_UDP, 'segmentUdp').jumpIf(R1, '!=', IPPROTO_TCP, failed)
  a.move(R1, R6)
    .move(R2, result)
    .alu('add', R2, frame)
    .alu('add', R2, ip + TCP.dataOffset)
    .move(R3, FP)
    .alu('add', R3, stack)
  a.move(R4, 1).call(BPF_FUNC_skb_load_bytes).jumpIf(R0, '!=', 0, failed)
  a.load(1, R1, FP, stack)
    .alu('shiftRight', R1, 4)
    .alu('shiftLeft', R1, 2)
    .alu('add', result, R1)
    .jump('segmentDone')
  a.label('segmentUdp').alu('add', result, UDP_HEADER_BYTES)
  a.label('segmentDone').alu('add', result, ip)
}

/** The longest IP packet (RFC 791, 3.1, and RFC 8200, 3): its length is a 16-bit number. */
export const LONGEST_PACKET_BYTES = 0xffff

/** Loads and stores that copy an Ethernet header of 14 bytes. */
export function copyEthernetHeader(
  a: Assembler,
  [from, source]: readonly [Register, number],
  [to, target]: readonly [Register, number],
): void {
  for (const [size, at] of [
    [4, 0],
    [4, 4],
    [4, 8],
    [2, 12],
  ] as const)
    a.load(size, R1, from, source + at).store(size, to, target + at, R1)
}

/** Puts ns of `CLOCK_MONOTONIC` on the stack, as of the kernel's last tick. */
export function clock(a: Assembler, now: number): void {
  a.call(BPF_FUNC_ktime_get_coarse_ns).store(8, FP, now, R0)
}

export interface Trial {
  /** Offsets on the stack: of the peer's row, and of what {@link clock} has put there. */
  readonly row: number
  readonly now: number
  /** `COUNTS.outTrialNs` or `COUNTS.inTrialNs`. */
  readonly at: number
}

/**
 * Jumps to `next` with one frame of the row in each {@link TRIAL_NS}. It comes later than those behind it, which costs TCP
 * most if it is a super-frame. So one of those is taken only if there was no other frame for twice as long.
 */
export function leaveOne(a: Assembler, counts: number, { row, now, at }: Trial): void {
  a.map(R1, counts).move(R2, FP).alu('add', R2, row).call(BPF_FUNC_map_lookup_elem)
  a.jumpIf(R0, '==', 0, 'tried')
  a.load(8, R1, FP, now).load(8, R2, R0, at).move(R3, R1).alu('subtract', R3, R2)
  a.load(4, R2, R6, __sk_buff.gso_size).jumpIf(R2, '==', 0, 'single trial').alu('shiftRight', R3, 1)
  a.label('single trial').jumpIf(R3, '<', TRIAL_NS, 'tried').store(8, R0, at, R1).jump('next')
  a.label('tried')
}

/** Tells main of the six bytes in R1, and of the row in R2. */
export function tellMain(a: Assembler, news: number, entry: number): void {
  a.alu('shiftLeft', R2, 48).alu('or', R1, R2).store(8, FP, entry, R1)
  a.map(R1, news).move(R2, FP).alu('add', R2, entry).move(R3, NO_FLAGS).call(BPF_FUNC_map_push_elem)
}

/** Tells main that the six bytes in R1 name a probe of the peer in R9, and ends with `drop`. */
export function tellProbe(a: Assembler, news: number, entry: number): void {
  a.move(R2, R9).alu('or', R2, NEWS_PROBE)
  tellMain(a, news, entry)
  a.jump('drop')
}
