import { __sk_buff } from '../linux/structs.js'
import { ETHERNET, ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../wire/ethernet.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, UDP_HEADER_BYTES } from '../wire/ip.js'
import { IPV4, IPV4_NOT_DF } from '../wire/ipv4.js'
import { IPV6 } from '../wire/ipv6.js'
import type { DeviceMode } from '../wire/mode.js'
import { IPPROTO_UDP, UDP } from '../wire/udp.js'
import { VXLAN_FLAG_I, VXLAN_HEADER_BYTES, VXLAN_VNI, VXLAN_VNI_SHIFT } from '../wire/vxlan.js'
import { type Assembler, FP, R1, R2, R3, R4, R6, R7, R8 } from './assembler.js'
import { ROUTED_BYTES } from './by-prefix.js'
import { noteOuterEcn } from './ecn.js'
import { SOURCE_ENTRY } from './layout.js'
import { bigEndian16, copyEthernetHeader, fold16 } from './pieces.js'

/** The outer headers of what comes: whether they are of a datagram for this end, and what it needs of them later. */

/** Offsets on the stack of what the pieces here write. */
export const OUTER_STACK = {
  /** With VXLAN, four bytes: the UDP checksum. */
  sum: -12,
  /** Four bytes: the ECN of the outer header. */
  mark: -28,
  /** What the inner frame begins with: its Ethernet header, or in mode tun as much as an IPv4 header. */
  inner: -48,
  /** The key of a {@link SOURCE_ENTRY}. The interface is not in it yet, and what is not written must be zero. */
  source: -88,
} as const

const VERSION_IHL_4 = 0x45

/** Bytes behind the outer headers that the program reads at once. */
export const INNER_BYTES = {
  tap: ETHERNET_HEADER_BYTES,
  tun: ROUTED_BYTES,
  vxlan: VXLAN_HEADER_BYTES + ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES,
}

const OUTER_V4_BYTES = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES + UDP_HEADER_BYTES
export const OUTER_V6_BYTES = ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES + UDP_HEADER_BYTES

/** Finds the version, and sees to it that all headers can be read. Jumps to `outer4` or `outer6`. */
export function headers(a: Assembler, innerBytes: number, which: 'as it is' | 'pulled'): void {
  const missing = which === 'as it is' ? 'pull' : 'next'
  const six = `six, ${which}`
  a.load(4, R7, R6, __sk_buff.data).load(4, R2, R6, __sk_buff.data_end)
  a.move(R1, R7)
    .alu('add', R1, OUTER_V4_BYTES + innerBytes)
    .jumpIf(R1, '>', R2, missing)
  a.load(2, R3, R7, ETHERNET.type).jumpIf(R3, '==', bigEndian16(ETHERTYPE_IPV4), 'outer4')
  a.jumpIf(R3, '!=', bigEndian16(ETHERTYPE_IPV6), 'next')
  a.label(six)
    .move(R1, R7)
    .alu('add', R1, OUTER_V6_BYTES + innerBytes)
    .jumpIf(R1, '>', R2, missing)
  a.jump('outer6')
}

export interface OuterOptions {
  readonly mode: DeviceMode
  /** This end's port. */
  readonly port: number
  /** The number of the network if the tunnel is VXLAN. */
  readonly vni?: number | undefined
}

/** Checks the outer headers, and makes the key of who sent them. Continues at `known`. */
export function outer(a: Assembler, version: 4 | 6, { mode, port, vni }: OuterOptions): void {
  const ip = ETHERNET_HEADER_BYTES
  const udp = ip + (version === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES)
  const payload = udp + UDP_HEADER_BYTES
  const bytes = payload + (vni === undefined ? 0 : VXLAN_HEADER_BYTES)
  a.label(`outer${version}`)
  // The quickest check first: most of what comes is something else.
  a.load(2, R1, R7, udp + UDP.ports + 2).jumpIf(R1, '!=', bigEndian16(port), 'next')
  a.load(2, R1, R7, udp + UDP.checksum)
  if (vni === undefined) a.jumpIf(R1, '!=', 0, 'next')
  else a.store(4, FP, OUTER_STACK.sum, R1)
  a.load(1, R1, R7, ip + (version === 4 ? IPV4.protocol : IPV6.nextHeader)).jumpIf(
    R1,
    '!=',
    IPPROTO_UDP,
    'next',
  )
  a.load(4, R3, R6, __sk_buff.len).alu('subtract', R3, udp).move(R4, R3)
  a.swap(R3, 16)
    .load(2, R1, R7, udp + UDP.length)
    .jumpIf(R1, '!=', R3, 'next')
  if (version === 4) {
    a.load(1, R1, R7, ip).jumpIf(R1, '!=', VERSION_IHL_4, 'next')
    a.load(2, R1, R7, ip + IPV4.flagsFragment).jumpIf(R1, '&', bigEndian16(IPV4_NOT_DF), 'next')
    a.alu('add', R4, IPV4_HEADER_BYTES).jumpIf(R4, '>', 0xffff, 'next').swap(R4, 16)
    a.load(2, R1, R7, ip + IPV4.totalLength).jumpIf(R1, '!=', R4, 'next')
    a.move(R1, 0)
    for (let at = 0; at < IPV4_HEADER_BYTES; at += 2) a.load(2, R2, R7, ip + at).alu('add', R1, R2)
    fold16(a, R1, R2)
    a.jumpIf(R1, '!=', 0xffff, 'next')
    a.load(4, R1, R7, ip + IPV4.source).store(4, FP, OUTER_STACK.source + SOURCE_ENTRY.source, R1)
    a.load(4, R1, R7, ip + IPV4.destination).store(4, FP, OUTER_STACK.source + SOURCE_ENTRY.destination, R1)
  } else {
    a.jumpIf(R4, '>', 0xffff, 'next')
    a.load(1, R1, R7, ip).alu('shiftRight', R1, 4).jumpIf(R1, '!=', 6, 'next')
    a.load(2, R1, R7, ip + IPV6.payloadLength).jumpIf(R1, '!=', R3, 'next')
    for (let at = 0; at < 16; at += 4) {
      a.load(4, R1, R7, ip + IPV6.source + at).store(4, FP, OUTER_STACK.source + SOURCE_ENTRY.source + at, R1)
      a.load(4, R1, R7, ip + IPV6.destination + at).store(
        4,
        FP,
        OUTER_STACK.source + SOURCE_ENTRY.destination + at,
        R1,
      )
    }
  }
  noteOuterEcn(a, version, ip, OUTER_STACK.mark)
  if (vni === undefined)
    a.load(2, R1, R7, udp + UDP.ports).store(2, FP, OUTER_STACK.source + SOURCE_ENTRY.port, R1)
  else {
    // Reserved bits are ignored. Those of another network are counted by the workers.
    a.load(1, R1, R7, payload).alu('and', R1, VXLAN_FLAG_I).jumpIf(R1, '==', 0, 'next')
    a.load(4, R1, R7, payload + VXLAN_VNI)
      .swap(R1, 32)
      .alu('shiftRight', R1, VXLAN_VNI_SHIFT)
    a.jumpIf(R1, '!=', vni, 'next')
    oneFrame(a, version, bytes)
  }
  // What is wrapped: IP for one host. What it begins with is copied, because the frame is moved later.
  const inner = `inner${version}`
  if (mode === 'tap') {
    a.load(2, R1, R7, bytes + ETHERNET.type).jumpIf(R1, '==', bigEndian16(ETHERTYPE_IPV4), inner)
    a.jumpIf(R1, '!=', bigEndian16(ETHERTYPE_IPV6), 'next').label(inner)
    copyEthernetHeader(a, [R7, bytes], [FP, OUTER_STACK.inner])
  } else {
    a.load(1, R1, R7, bytes).alu('shiftRight', R1, 4).jumpIf(R1, '==', 4, inner)
    a.jumpIf(R1, '!=', 6, 'next').label(inner)
    for (let at = 0; at < ROUTED_BYTES; at += 4)
      a.load(4, R1, R7, bytes + at).store(4, FP, OUTER_STACK.inner + at, R1)
  }
  a.move(R8, bytes)
  a.jump('known')
}

/**
 * Jumps to `next` with a run, which the kernel may have joined or not cut yet: there the IP packet behind `bytes` bytes
 * ends before the run does. All of a super-frame is one packet.
 */
function oneFrame(a: Assembler, version: 4 | 6, bytes: number): void {
  const [single, six, measured] = ['single', 'six', 'measured'].map((name) => `${name} in ${version}`)
  const ip = bytes + ETHERNET_HEADER_BYTES
  a.load(4, R1, R6, __sk_buff.gso_size).jumpIf(R1, '==', 0, single)
  a.load(4, R3, R6, __sk_buff.len).alu('subtract', R3, ip)
  a.load(2, R1, R7, bytes + ETHERNET.type).jumpIf(R1, '==', bigEndian16(ETHERTYPE_IPV6), six)
  a.load(2, R1, R7, ip + IPV4.totalLength)
    .swap(R1, 16)
    .jump(measured)
  a.label(six)
    .load(2, R1, R7, ip + IPV6.payloadLength)
    .swap(R1, 16)
    .alu('add', R1, IPV6_HEADER_BYTES)
  a.label(measured).jumpIf(R1, '!=', R3, 'next').label(single)
}
