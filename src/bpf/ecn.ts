import {
  BPF_F_RECOMPUTE_CSUM,
  BPF_FUNC_l3_csum_replace,
  BPF_FUNC_skb_load_bytes,
  BPF_FUNC_skb_store_bytes,
} from '../linux/constants.js'
import { ECN, ECN_MASK } from '../wire/ecn.js'
import { ETHERNET, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../wire/ethernet.js'
import { IPV4 } from '../wire/ipv4.js'
import type { DeviceMode } from '../wire/mode.js'
import { type Assembler, FP, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, type Register } from './assembler.js'
import { bigEndian16 } from './pieces.js'

/** The DS field (`wire/ecn.ts`) in the kernel's datapath. It is treated as the workers do (`offload/ds-field.ts`). */

/** Bits from the DS field to the low end of the first two bytes of an IP header, as a little-endian processor reads them. */
const ECN_SHIFT = { 4: 8, 6: 12 } as const

/** R9 = those bits of the DS field that an outer header takes from the frame at R7, which is IP. */
export function innerDsField(a: Assembler, mode: DeviceMode, l2Bytes: number, mask: number): void {
  a.load(2, R9, R7, l2Bytes).swap(R9, 16)
  if (mode === 'tap')
    a.load(2, R1, R7, ETHERNET.type).jumpIf(R1, '==', bigEndian16(ETHERTYPE_IPV4), 'dsField')
  else a.move(R1, R9).alu('shiftRight', R1, 12).jumpIf(R1, '==', 4, 'dsField')
  a.alu('shiftRight', R9, 4)
  a.label('dsField').alu('and', R9, mask)
}

/** Writes the DS field in R9 into an outer header on the stack. For IPv4, it is added to the sum in R5. */
export function writeOuterDsField(a: Assembler, version: 4 | 6, header: number): void {
  a.move(R1, R9)
  if (version === 4) {
    a.store(1, FP, header + IPV4.tos, R1)
      .alu('shiftLeft', R1, 8)
      .alu('add', R5, R1)
    return
  }
  a.alu('shiftRight', R1, 4).alu('or', R1, 0x60).store(1, FP, header, R1)
  a.move(R1, R9)
    .alu('shiftLeft', R1, 4)
    .store(1, FP, header + 1, R1)
}

/** Notes the ECN of the outer IP header, `ip` bytes behind R7, in the four bytes at `mark` on the stack. */
export function noteOuterEcn(a: Assembler, version: 4 | 6, ip: number, mark: number): void {
  a.load(1, R1, R7, ip + 1)
  if (version === 6) a.alu('shiftRight', R1, 4)
  a.alu('and', R1, ECN_MASK).store(4, FP, mark, R1)
}

export interface EcnScratch {
  /** What {@link noteOuterEcn} has noted. */
  readonly mark: number
  /** Where on the stack the frame begins: its Ethernet header, or in mode tun its IP header. */
  readonly inner: number
  /** Two bytes that are overwritten. */
  readonly word: number
}

/** If the outer header may change the packet, jumps to `marked`. There {@link takeMark} jumps back to `unmarked`. */
export function lookAtMark(a: Assembler, mark: number): void {
  a.load(4, R1, FP, mark).jumpIf(R1, '&', ECN.ect1, 'marked').label('unmarked')
}

/**
 * Carries the mark of the outer header into the packet (RFC 6040, 4.2). It begins `l2Bytes` behind R8. Jumps to
 * `unmarked`, `congested`, `next` or `drop`. R7 is overwritten.
 */
export function takeMark(a: Assembler, mode: DeviceMode, l2Bytes: number, scratch: EcnScratch): void {
  const { inner, word } = scratch
  a.label('marked')
  at(a, R2, l2Bytes).move(R1, R6).move(R3, FP).alu('add', R3, word).move(R4, 2)
  a.call(BPF_FUNC_skb_load_bytes).jumpIf(R0, '!=', 0, 'next')
  a.load(2, R3, FP, word)
  if (mode === 'tap') a.load(2, R1, FP, inner + ETHERNET.type)
  else a.load(1, R1, FP, inner).alu('shiftRight', R1, 4)
  a.jumpIf(R1, '==', mode === 'tap' ? bigEndian16(ETHERTYPE_IPV6) : 6, 'marked6')
  for (const version of [4, 6] as const) changeEcn(a, version, l2Bytes, scratch)
}

/** R3 has the first two bytes of the IP header. */
function changeEcn(a: Assembler, version: 4 | 6, l2Bytes: number, { mark, word }: EcnScratch): void {
  const shift = ECN_SHIFT[version]
  if (version === 6) a.label('marked6')
  a.load(4, R2, FP, mark)
  a.move(R1, R3).alu('shiftRight', R1, shift).alu('and', R1, ECN_MASK)
  a.jumpIf(R1, '==', ECN.ce, 'unmarked').jumpIf(R1, '!=', ECN.notEct, `capable${version}`)
  a.jumpIf(R2, '==', ECN.ce, 'congested').jump('unmarked')
  // The outer header has ECT(1) or CE, and the packet any ECT: it gets what the outer header has.
  a.label(`capable${version}`)
    .move(R7, R3)
    .alu('and', R7, 0xffff & ~(ECN_MASK << shift))
  a.alu('shiftLeft', R2, shift).alu('or', R7, R2).store(2, FP, word, R7)
  if (version === 4) {
    at(a, R2, l2Bytes + IPV4.checksum)
      .move(R1, R6)
      .move(R4, R7)
      .move(R5, 2)
    a.call(BPF_FUNC_l3_csum_replace).jumpIf(R0, '!=', 0, 'drop')
  }
  at(a, R2, l2Bytes).move(R1, R6).move(R3, FP).alu('add', R3, word).move(R4, 2)
  // The sum of an IPv4 packet stays as it is, because its header's checksum has changed, too.
  a.move(R5, version === 4 ? 0 : BPF_F_RECOMPUTE_CSUM)
  a.call(BPF_FUNC_skb_store_bytes).jumpIf(R0, '!=', 0, 'drop').jump('unmarked')
}

/** `to` = R8 + `bytes`. */
function at(a: Assembler, to: Register, bytes: number): Assembler {
  return a.move(to, R8).alu('add', to, bytes)
}
