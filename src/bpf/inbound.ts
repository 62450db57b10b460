import {
  BPF_CSUM_LEVEL_DEC,
  BPF_F_ADJ_ROOM_DECAP_L3_IPV4,
  BPF_F_ADJ_ROOM_DECAP_L3_IPV6,
  BPF_F_ADJ_ROOM_DECAP_L4_UDP,
  TCX_NEXT,
} from '../linux/bpf.js'
import {
  BPF_ADJ_ROOM_MAC,
  BPF_F_ADJ_ROOM_FIXED_GSO,
  BPF_F_INGRESS,
  BPF_FUNC_csum_level,
  BPF_FUNC_map_lookup_elem,
  BPF_FUNC_redirect,
  BPF_FUNC_skb_adjust_room,
  BPF_FUNC_skb_pull_data,
  BPF_FUNC_skb_store_bytes,
  TC_ACT_SHOT,
} from '../linux/constants.js'
import { __sk_buff } from '../linux/structs.js'
import { ETHERNET, ETHERNET_HEADER_BYTES, ETHERTYPE_IPV6 } from '../wire/ethernet.js'
import type { DeviceMode } from '../wire/mode.js'
import { Assembler, FP, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9 } from './assembler.js'
import { switchInbound } from './by-mac.js'
import { PREFIX_STACK_BYTES, routeInbound } from './by-prefix.js'
import { lookAtMark, takeMark } from './ecn.js'
import { COUNTS, type MapFds, SOURCE_ENTRY } from './layout.js'
import type { OutboundOptions } from './outbound.js'
import { headers, INNER_BYTES, OUTER_STACK, OUTER_V6_BYTES, type OuterOptions, outer } from './outer.js'
import { bigEndian16, clock, leaveOne, segmentHeaders } from './pieces.js'

const { sum: SUM, mark: MARK, inner: INNER, source: SOURCE } = OUTER_STACK
/** Further offsets on the stack. */
const KEY = -8
const ROW = -16
const ENTRY = -24
/** What each frame of a super-frame after the first adds: the headers' bytes. */
const HEADERS = -96
const NOW = -104
const PREFIX_KEY = NOW - PREFIX_STACK_BYTES
const SCRATCH = { key: KEY, entry: ENTRY, now: NOW }

const PACKET_HOST = 0

export interface InboundOptions extends OuterOptions, Pick<OutboundOptions, 'mac'> {
  /** The tunnel's device. */
  readonly device: number
  /** Whether the kernel has `BPF_F_ADJ_ROOM_DECAP_L4_UDP`. */
  readonly decapUdp: boolean
}

/**
 * The program on the underlay's way in. It unwraps a datagram of a peer's program, and gives the frame to the device.
 * A datagram of the programs has no UDP checksum, and nothing else has none. All other datagrams are the socket's. With
 * VXLAN a datagram may have a checksum. The program does not look at it (RFC 7348, 5), because the frame has its own.
 *
 * It checks what a router and a host would check of the outer headers: that they are to this host and came by the
 * interface that is expected, that all lengths agree, the header's checksum, and that it is no fragment.
 *
 * Registers: R6 the context, R7 the frame, R8 the bytes before the inner frame, R9 the peer's row.
 */
export function inboundProgram(
  maps: MapFds,
  { mode, mac, port, device, decapUdp, vni }: InboundOptions,
): Uint8Array {
  const { sources, counts } = maps
  const innerBytes = vni === undefined ? INNER_BYTES[mode] : INNER_BYTES.vxlan
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

  for (const version of [4, 6] as const) outer(a, version, { mode, port, vni })
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
  if (vni !== undefined) leaveOne(a, counts, { row: ROW, now: NOW, at: COUNTS.inTrialNs })
  if (mode === 'tap')
    switchInbound(a, maps, { ...SCRATCH, header: INNER, own: mac, probes: vni === undefined })
  else routeInbound(a, maps, INNER, { key: PREFIX_KEY, entry: ENTRY })
  lookAtMark(a, MARK)
  count(a, counts, mode)
  unwrap(a, { mode, device, decapUdp, vni })
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
function unwrap(a: Assembler, { mode, device, decapUdp, vni }: Omit<InboundOptions, 'mac' | 'port'>): void {
  if (vni !== undefined) {
    // A network card has looked at the UDP checksum first, and perhaps at no other.
    a.load(4, R1, FP, SUM).jumpIf(R1, '==', 0, 'unsummed')
    a.move(R1, R6).move(R2, BPF_CSUM_LEVEL_DEC).call(BPF_FUNC_csum_level).label('unsummed')
  }
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
