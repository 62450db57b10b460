import {
  BPF_F_ADJ_ROOM_DECAP_L3_IPV4,
  BPF_F_ADJ_ROOM_DECAP_L3_IPV6,
  BPF_F_ADJ_ROOM_DECAP_L4_UDP,
  TCX_NEXT,
} from '../linux/bpf.js'
import {
  BPF_ADJ_ROOM_MAC,
  BPF_F_ADJ_ROOM_FIXED_GSO,
  BPF_F_INGRESS,
  BPF_FUNC_map_lookup_elem,
  BPF_FUNC_redirect,
  BPF_FUNC_skb_adjust_room,
  BPF_FUNC_skb_pull_data,
  BPF_FUNC_skb_store_bytes,
  TC_ACT_SHOT,
} from '../linux/constants.js'
import { __sk_buff } from '../linux/structs.js'
import { ETHERNET, ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../wire/ethernet.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, UDP_HEADER_BYTES } from '../wire/ip.js'
import { IPV4, IPV4_NOT_DF } from '../wire/ipv4.js'
import { IPV6 } from '../wire/ipv6.js'
import type { DeviceMode } from '../wire/mode.js'
import { IPPROTO_UDP, UDP } from '../wire/udp.js'
import { Assembler, FP, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9 } from './assembler.js'
import { switchInbound } from './by-mac.js'
import { PREFIX_STACK_BYTES, ROUTED_BYTES, routeInbound } from './by-prefix.js'
import { lookAtMark, noteOuterEcn, takeMark } from './ecn.js'
import { COUNTS, type MapFds, SOURCE_ENTRY } from './layout.js'
import type { OutboundOptions } from './outbound.js'
import { bigEndian16, clock, copyEthernetHeader, fold16, segmentHeaders } from './pieces.js'

/** Offsets on the stack. */
const KEY = -8
const ROW = -16
const ENTRY = -24
/** What the inner frame begins with: its Ethernet header, or in mode tun as much as an IPv4 header. */
const INNER = -48
/** The ECN of the outer header. */
const MARK = -28
const SOURCE = -88
/** What each frame of a super-frame after the first adds: the headers' bytes. */
const HEADERS = -96
const NOW = -104
const PREFIX_KEY = NOW - PREFIX_STACK_BYTES
const SCRATCH = { key: KEY, entry: ENTRY, now: NOW }

const PACKET_HOST = 0
const VERSION_IHL_4 = 0x45

export interface InboundOptions extends Omit<OutboundOptions, 'mark' | 'dsMask'> {
  /** This end's port. */
  readonly port: number
  /** The tunnel's device. */
  readonly device: number
  /** Whether the kernel has `BPF_F_ADJ_ROOM_DECAP_L4_UDP`. */
  readonly decapUdp: boolean
}

/**
 * The program on the underlay's way in. It unwraps a datagram of a peer's program, and gives the frame to the device.
 * A datagram of the programs has no UDP checksum, and nothing else has none. All other datagrams are the socket's.
 *
 * It checks what a router and a host would check of the outer headers: that they are to this host and came by the
 * interface that is expected, that all lengths agree, the header's checksum, and that it is no fragment.
 *
 * Registers: R6 the context, R7 the frame, R8 the bytes before the inner frame, R9 the peer's row.
 */
export function inboundProgram(
  maps: MapFds,
  { mode, mac, port, device, decapUdp }: InboundOptions,
): Uint8Array {
  const { sources, counts } = maps
  const innerBytes = mode === 'tap' ? ETHERNET_HEADER_BYTES : ROUTED_BYTES
  const a = new Assembler()
  a.move(R6, R1)
  a.load(4, R1, R6, __sk_buff.pkt_type).jumpIf(R1, '!=', PACKET_HOST, 'next')
  a.load(4, R1, R6, __sk_buff.vlan_present).jumpIf(R1, '!=', 0, 'next')
  for (let at = SOURCE; at < SOURCE + SOURCE_ENTRY.keyBytes; at += 8) a.store(8, FP, at, 0)
  headers(a, innerBytes, 'as it is')
  // The headers may be outside of what a program reads directly.
  a.label('pull').load(4, R2, R6, __sk_buff.len)
  a.jumpIf(R2, '<=', OUTER_V6_BYTES + innerBytes, 'all').move(R2, OUTER_V6_BYTES + innerBytes)
  a.label('all').move(R1, R6).call(BPF_FUNC_skb_pull_data).jumpIf(R0, '!=', 0, 'next')
  headers(a, innerBytes, 'pulled')

  for (const version of [4, 6] as const) outer(a, version, { mode, port })
  a.label('known')
  a.load(4, R1, R6, __sk_buff.ifindex).store(4, FP, SOURCE + SOURCE_ENTRY.ifindex, R1)
  a.map(R1, sources).move(R2, FP).alu('add', R2, SOURCE).call(BPF_FUNC_map_lookup_elem)
  a.jumpIf(R0, '==', 0, 'next').load(4, R9, R0, SOURCE_ENTRY.row)
  for (let at = 0; at < SOURCE_ENTRY.keyBytes; at += 8)
    a.load(8, R1, R0, at)
      .load(8, R2, FP, SOURCE + at)
      .jumpIf(R1, '!=', R2, 'next')
  a.store(4, FP, ROW, R9)
  clock(a, NOW)
  if (mode === 'tap') switchInbound(a, maps, { ...SCRATCH, header: INNER, own: mac })
  else routeInbound(a, maps, INNER, { key: PREFIX_KEY, entry: ENTRY })
  lookAtMark(a, MARK)
  count(a, counts, mode)
  unwrap(a, { mode, device, decapUdp })
  a.label('notAllowed')
  countDrop(a, counts, COUNTS.notAllowed, 'a')
  // The verifier refuses what nothing jumps to.
  if (mode === 'tap') {
    a.label('filtered')
    countDrop(a, counts, COUNTS.filtered, 'b')
  }
  const l2Bytes = mode === 'tap' ? ETHERNET_HEADER_BYTES : 0
  takeMark(a, mode, l2Bytes, { mark: MARK, inner: INNER, word: SOURCE })
  a.label('congested')
  countDrop(a, counts, COUNTS.congested, 'c')
  a.label('drop').move(R0, TC_ACT_SHOT).exit()
  a.label('next').move(R0, TCX_NEXT).exit()
  return a.assemble()
}

const OUTER_V4_BYTES = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES + UDP_HEADER_BYTES
const OUTER_V6_BYTES = ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES + UDP_HEADER_BYTES

/** Finds the version, and sees to it that all headers can be read. Jumps to `outer4` or `outer6`. */
function headers(a: Assembler, innerBytes: number, which: 'as it is' | 'pulled'): void {
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

/** Checks the outer headers, and makes the key of who sent them. Continues at `known`. */
function outer(a: Assembler, version: 4 | 6, { mode, port }: Pick<InboundOptions, 'mode' | 'port'>): void {
  const ip = ETHERNET_HEADER_BYTES
  const udp = ip + (version === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES)
  const bytes = udp + UDP_HEADER_BYTES
  a.label(`outer${version}`)
  // The quickest check first: most of what comes is something else.
  a.load(2, R1, R7, udp + UDP.ports + 2).jumpIf(R1, '!=', bigEndian16(port), 'next')
  a.load(2, R1, R7, udp + UDP.checksum).jumpIf(R1, '!=', 0, 'next')
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
    a.load(4, R1, R7, ip + IPV4.source).store(4, FP, SOURCE + SOURCE_ENTRY.source, R1)
    a.load(4, R1, R7, ip + IPV4.destination).store(4, FP, SOURCE + SOURCE_ENTRY.destination, R1)
  } else {
    a.jumpIf(R4, '>', 0xffff, 'next')
    a.load(1, R1, R7, ip).alu('shiftRight', R1, 4).jumpIf(R1, '!=', 6, 'next')
    a.load(2, R1, R7, ip + IPV6.payloadLength).jumpIf(R1, '!=', R3, 'next')
    for (let at = 0; at < 16; at += 4) {
      a.load(4, R1, R7, ip + IPV6.source + at).store(4, FP, SOURCE + SOURCE_ENTRY.source + at, R1)
      a.load(4, R1, R7, ip + IPV6.destination + at).store(4, FP, SOURCE + SOURCE_ENTRY.destination + at, R1)
    }
  }
  noteOuterEcn(a, version, ip, MARK)
  a.load(2, R1, R7, udp + UDP.ports).store(2, FP, SOURCE + SOURCE_ENTRY.port, R1)
  // What is wrapped: IP for one host. What it begins with is copied, because the frame is moved later.
  const inner = `inner${version}`
  if (mode === 'tap') {
    a.load(2, R1, R7, bytes + ETHERNET.type).jumpIf(R1, '==', bigEndian16(ETHERTYPE_IPV4), inner)
    a.jumpIf(R1, '!=', bigEndian16(ETHERTYPE_IPV6), 'next').label(inner)
    copyEthernetHeader(a, [R7, bytes], [FP, INNER])
  } else {
    a.load(1, R1, R7, bytes).alu('shiftRight', R1, 4).jumpIf(R1, '==', 4, inner)
    a.jumpIf(R1, '!=', 6, 'next').label(inner)
    for (let at = 0; at < ROUTED_BYTES; at += 4) a.load(4, R1, R7, bytes + at).store(4, FP, INNER + at, R1)
  }
  a.move(R8, bytes)
  a.jump('known')
}

/** Counts a frame, or those of a super-frame with their bytes as they would be one by one, and when it came. */
function count(a: Assembler, counts: number, mode: DeviceMode): void {
  a.store(8, FP, HEADERS, 0).load(4, R1, R6, __sk_buff.gso_size).jumpIf(R1, '==', 0, 'single')
  const l2Bytes = mode === 'tap' ? ETHERNET_HEADER_BYTES : 0
  segmentHeaders(a, { at: R8, l2Bytes }, R7, SOURCE, 'next')
  a.store(8, FP, HEADERS, R7).label('single')
  a.map(R1, counts)
    .move(R2, FP)
    .alu('add', R2, ROW)
    .call(BPF_FUNC_map_lookup_elem)
    .jumpIf(R0, '==', 0, 'counted')
  a.move(R7, R0)
  a.load(4, R1, R6, __sk_buff.gso_segs).jumpIf(R1, '!=', 0, 'several').move(R1, 1)
  a.label('several').load(8, R2, R7, COUNTS.inFrames).alu('add', R2, R1).store(8, R7, COUNTS.inFrames, R2)
  a.alu('subtract', R1, 1).load(8, R2, FP, HEADERS).alu('multiply', R1, R2)
  a.load(4, R2, R6, __sk_buff.len).alu('add', R1, R2).alu('subtract', R1, R8)
  a.load(8, R2, R7, COUNTS.inBytes).alu('add', R2, R1).store(8, R7, COUNTS.inBytes, R2)
  a.load(8, R1, FP, NOW).store(8, R7, COUNTS.heardNs, R1)
  a.label('counted')
}

/** Takes away all that is before the inner IP header, but for one Ethernet header. Gives the frame to the device. */
function unwrap(a: Assembler, { mode, device, decapUdp }: Omit<InboundOptions, 'mac' | 'port'>): void {
  if (mode === 'tap') a.load(2, R1, FP, INNER + ETHERNET.type)
  else a.load(1, R1, FP, INNER).alu('shiftRight', R1, 4)
  const six = mode === 'tap' ? bigEndian16(ETHERTYPE_IPV6) : 6
  a.move(R4, BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_DECAP_L3_IPV4).jumpIf(R1, '!=', six, 'shrink')
  a.move(R4, BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_DECAP_L3_IPV6).label('shrink')
  const l2Bytes = mode === 'tap' ? 0 : ETHERNET_HEADER_BYTES
  const shrink = () => {
    a.move(R1, R6).move(R2, l2Bytes).alu('subtract', R2, R8).move(R3, BPF_ADJ_ROOM_MAC)
    a.call(BPF_FUNC_skb_adjust_room)
  }
  if (decapUdp) {
    a.store(8, FP, ENTRY, R4).alu('or', R4, BPF_F_ADJ_ROOM_DECAP_L4_UDP)
    shrink()
    // With the mark it is still a frame. Without being unwrapped it is lost.
    a.jumpIf(R0, '==', 0, 'shrunk').load(8, R4, FP, ENTRY)
  }
  shrink()
  a.jumpIf(R0, '!=', 0, 'next').label('shrunk')
  if (mode === 'tap') {
    a.move(R1, R6).move(R2, 0).move(R3, FP).alu('add', R3, INNER)
    a.move(R4, ETHERNET_HEADER_BYTES).move(R5, 0)
    a.call(BPF_FUNC_skb_store_bytes).jumpIf(R0, '!=', 0, 'drop')
  }
  a.move(R1, device).move(R2, BPF_F_INGRESS).call(BPF_FUNC_redirect).exit()
}

function countDrop(a: Assembler, counts: number, at: number, label: string): void {
  a.map(R1, counts).move(R2, FP).alu('add', R2, ROW).call(BPF_FUNC_map_lookup_elem).jumpIf(R0, '==', 0, label)
  a.load(4, R2, R6, __sk_buff.gso_segs).jumpIf(R2, '!=', 0, `all ${label}`).move(R2, 1)
  a.label(`all ${label}`).load(8, R1, R0, at).alu('add', R1, R2).store(8, R0, at, R1)
  a.label(label).move(R0, TC_ACT_SHOT).exit()
}
