import { TCX_NEXT } from '../linux/bpf.js'
import {
  BPF_ADJ_ROOM_ENCAP_L2_SHIFT,
  BPF_ADJ_ROOM_MAC,
  BPF_F_ADJ_ROOM_ENCAP_L2_ETH,
  BPF_F_ADJ_ROOM_ENCAP_L3_IPV4,
  BPF_F_ADJ_ROOM_ENCAP_L3_IPV6,
  BPF_F_ADJ_ROOM_ENCAP_L4_UDP,
  BPF_F_ADJ_ROOM_FIXED_GSO,
  BPF_F_INVALIDATE_HASH,
  BPF_FUNC_get_hash_recalc,
  BPF_FUNC_map_lookup_elem,
  BPF_FUNC_redirect_neigh,
  BPF_FUNC_skb_adjust_room,
  BPF_FUNC_skb_change_head,
  BPF_FUNC_skb_store_bytes,
  TC_ACT_SHOT,
} from '../linux/constants.js'
import { __sk_buff } from '../linux/structs.js'
import { ETHERNET, ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../wire/ethernet.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, UDP_HEADER_BYTES } from '../wire/ip.js'
import { IPV4 } from '../wire/ipv4.js'
import { IPV6 } from '../wire/ipv6.js'
import type { DeviceMode } from '../wire/mode.js'
import { UDP } from '../wire/udp.js'
import { VXLAN_FIRST_FLOW_PORT, VXLAN_FLAG_I, VXLAN_HEADER_BYTES, VXLAN_VNI, vniWord } from '../wire/vxlan.js'
import { Assembler, FP, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9 } from './assembler.js'
import { PROBE_WORD, switchOutbound } from './by-mac.js'
import { routeOutbound } from './by-prefix.js'
import { innerDsField, writeOuterDsField } from './ecn.js'
import { COUNTS, type MapFds, PEER_ENTRY, PEER_FLAGS } from './layout.js'
import {
  bigEndian16,
  bigEndian32,
  clock,
  copyEthernetHeader,
  fold16,
  LONGEST_PACKET_BYTES,
  leaveOne,
  mustRead,
  packetVersion,
  segmentHeaders,
} from './pieces.js'

/** Offsets on the stack. */
const KEY = -8
const ROW = -16
/** With VXLAN, the source port of the datagram. */
const FLOW_PORT = -12
const BYTE = -24
/** What each frame of a super-frame after the first adds: the headers' bytes. */
const HEADERS = -32
/** The outer header with VXLAN's, and in mode tap behind it the copy of the frame's own Ethernet header. */
const OUTER = -96
/** `struct bpf_redir_neigh`. */
const NEXT_HOP = -120
const NEXT_HOP_BYTES = 20
/** The first bytes of the destination, by which a probe is known. */
const DESTINATION = -100
/** Not that of a probe. */
const ANY = 1
/** Needed before the outer header is. */
const PREFIX_KEY = OUTER
const NOW = OUTER
const OUTER_V4_BYTES = IPV4_HEADER_BYTES + UDP_HEADER_BYTES
const OUTER_V6_BYTES = IPV6_HEADER_BYTES + UDP_HEADER_BYTES

const ENCAP = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L4_UDP
const ENCAP_ETHERNET =
  BigInt(BPF_F_ADJ_ROOM_ENCAP_L2_ETH) | (BigInt(ETHERNET_HEADER_BYTES) << BigInt(BPF_ADJ_ROOM_ENCAP_L2_SHIFT))

export interface OutboundOptions {
  readonly mode: DeviceMode
  /** The device's MAC; in mode tun it does not matter. */
  readonly mac: Uint8Array
  /** Bits of the DS field (`wire/ecn.ts`) that an outer header takes from the packet in it. */
  readonly dsMask: number
  /** The mark of what is sent on the underlay (ip-rule(8)): 32 bits, 0 for none. */
  readonly mark: number
  /** The number of the network if the tunnel is VXLAN, which is mode tap. Then only peers over IPv4 are carried. */
  readonly vni?: number | undefined
}

/**
 * The program on the device's way out. It wraps a frame for a known peer into UDP, and sends it by the underlay. All
 * else is left to the workers: tagged frames, groups, what is not IP, what is too long for the path, and what the maps
 * do not have. In mode tun a frame is an IP packet.
 *
 * Registers: R6 the context, R7 the frame, R8 the peer's entry, R9 the bytes of one frame as it will be on the wire, and
 * then the DS field of the outer header.
 */
export function outboundProgram(maps: MapFds, { mode, mac, dsMask, mark, vni }: OutboundOptions): Uint8Array {
  const a = new Assembler()
  const l2Bytes = mode === 'tap' ? ETHERNET_HEADER_BYTES : 0
  a.move(R6, R1)
  a.load(4, R1, R6, __sk_buff.vlan_present).jumpIf(R1, '!=', 0, 'next')
  mustRead(a, l2Bytes + IPV4_HEADER_BYTES)
  if (mode === 'tap') {
    a.load(2, R1, R7, ETHERNET.type).jumpIf(R1, '==', bigEndian16(ETHERTYPE_IPV4), 'ip')
    a.jumpIf(R1, '!=', bigEndian16(ETHERTYPE_IPV6), 'next').label('ip')
    a.load(4, R1, R7, ETHERNET.destination).store(4, FP, DESTINATION, R1)
    lengthOfFrame(a, l2Bytes)
    clock(a, NOW)
    switchOutbound(a, maps, mac, { key: KEY, entry: BYTE, now: NOW })
  } else {
    a.store(4, FP, DESTINATION, ANY)
    packetVersion(a).jumpIf(R1, '==', 6, 'ip').jumpIf(R1, '!=', 4, 'next')
    a.load(2, R1, R7, IPV4.destination).store(4, FP, DESTINATION, R1)
    a.label('ip')
    lengthOfFrame(a, l2Bytes)
    routeOutbound(a, maps, PREFIX_KEY)
  }
  a.store(4, FP, ROW, R3)

  a.map(R1, maps.peers).move(R2, FP).alu('add', R2, ROW).call(BPF_FUNC_map_lookup_elem)
  a.jumpIf(R0, '==', 0, 'next').move(R8, R0)
  a.load(4, R1, R8, PEER_ENTRY.longestFrameBytes).jumpIf(R9, '>', R1, 'next')
  if (vni !== undefined) {
    leaveOne(a, maps.counts, { row: ROW, now: NOW, at: COUNTS.outTrialNs })
    flowPort(a)
  }
  innerDsField(a, mode, l2Bytes, dsMask)
  const others = vni === undefined ? 'outer6' : 'next'
  a.load(4, R1, R8, PEER_ENTRY.flags).jumpIf(R1, '&', PEER_FLAGS.ipv6, others)
  wrap(a, 4, l2Bytes, vni)
  if (vni === undefined) {
    a.label(others)
    wrap(a, 6, l2Bytes, vni)
  }

  a.label('send')
  // A probe is no frame of anybody, and the other end does not count it either.
  a.load(4, R1, FP, DESTINATION).jumpIf(R1, '==', mode === 'tap' ? PROBE_WORD : 0, 'counted')
  count(a, maps.counts)
  // The mark chooses the route on the underlay, and what the frame has is the overlay's.
  a.store(4, R6, __sk_buff.mark, mark | 0)
  // The kernel would look for a route without regard to ports. Main knows the one of the tunnel's own datagrams.
  a.move(R1, R8).move(R2, FP).alu('add', R2, NEXT_HOP).move(R3, NEXT_HOP_BYTES).move(R4, 0)
  a.call(BPF_FUNC_redirect_neigh).exit()
  a.label('drop').move(R0, TC_ACT_SHOT).exit()
  a.label('next').move(R0, TCX_NEXT).exit()
  return a.assemble()
}

/** R9 = the bytes of this frame; of a super-frame, of each frame that it becomes. Also sets {@link HEADERS}. */
function lengthOfFrame(a: Assembler, l2Bytes: number): void {
  a.store(8, FP, HEADERS, 0).load(4, R9, R6, __sk_buff.len)
  a.load(4, R1, R6, __sk_buff.gso_size).jumpIf(R1, '==', 0, 'measured')
  segmentHeaders(a, { at: 0, l2Bytes }, R8, OUTER, 'next')
  a.load(4, R9, R6, __sk_buff.gso_size).alu('add', R9, R8).store(8, FP, HEADERS, R8)
  a.label('measured')
}

/** Notes a source port for the frame's flow. All frames of a flow have one hash. */
function flowPort(a: Assembler): void {
  a.move(R1, R6).call(BPF_FUNC_get_hash_recalc)
  a.alu('or', R0, VXLAN_FIRST_FLOW_PORT).swap(R0, 16).store(2, FP, FLOW_PORT, R0)
}

/** Puts the frame into a datagram. R8 becomes the interface's number. Continues at `send`. */
function wrap(a: Assembler, outer: 4 | 6, l2Bytes: number, vni: number | undefined): void {
  const udpBytes = outer === 4 ? OUTER_V4_BYTES : OUTER_V6_BYTES
  const outerBytes = udpBytes + (vni === undefined ? 0 : VXLAN_HEADER_BYTES)
  const roomBytes = outerBytes + l2Bytes
  for (let at = 0; at < udpBytes; at += 4)
    a.load(4, R1, R8, PEER_ENTRY.outer + at).store(4, FP, OUTER + at, R1)
  if (l2Bytes > 0) copyEthernetHeader(a, [R7, 0], [FP, OUTER + outerBytes])
  a.load(4, R5, R8, PEER_ENTRY.headerSum)
  writeOuterDsField(a, outer, OUTER)
  for (let at = 0; at < NEXT_HOP_BYTES; at += 4)
    a.load(4, R1, R8, PEER_ENTRY.nextHop + at).store(4, FP, NEXT_HOP + at, R1)
  // The entry may have become another peer's. What was copied is right only if it has not.
  a.load(4, R1, FP, ROW).load(4, R2, R8, PEER_ENTRY.row)
  a.load(4, R8, R8, PEER_ENTRY.ifindex).jumpIf(R1, '!=', R2, 'next')

  const ipBytes = udpBytes - UDP_HEADER_BYTES
  if (vni !== undefined) {
    a.load(2, R1, FP, FLOW_PORT).store(2, FP, OUTER + ipBytes + UDP.ports, R1)
    a.store(4, FP, OUTER + udpBytes, bigEndian32(VXLAN_FLAG_I << 24))
    a.store(4, FP, OUTER + udpBytes + VXLAN_VNI, bigEndian32(vniWord(vni)))
  }
  a.load(4, R1, R6, __sk_buff.len).alu('add', R1, outerBytes - ipBytes)
  // A super-frame may be as long as a packet can be, and has no room for one more header then.
  a.jumpIf(R1, '>', outer === 4 ? LONGEST_PACKET_BYTES - ipBytes : LONGEST_PACKET_BYTES, 'next')
  a.move(R2, R1).swap(R2, 16)
  a.store(2, FP, OUTER + ipBytes + UDP.length, R2)
  if (outer === 4) {
    a.alu('add', R1, ipBytes)
      .swap(R1, 16)
      .store(2, FP, OUTER + IPV4.totalLength, R1)
    a.alu('add', R5, R1)
    fold16(a, R5, R1)
    a.alu('xor', R5, 0xffff).store(2, FP, OUTER + IPV4.checksum, R5)
  } else a.store(2, FP, OUTER + IPV6.payloadLength, R2)
  a.load(4, R7, R6, __sk_buff.len)
  // The kernel forgets how many frames it is when it makes room.
  a.load(4, R1, R6, __sk_buff.gso_segs).store(8, FP, BYTE, R1)
  const l3 = outer === 4 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV6
  a.move(R1, R6).move(R2, roomBytes).move(R3, BPF_ADJ_ROOM_MAC)
  a.constant(R4, BigInt(ENCAP | l3) | (l2Bytes > 0 ? ENCAP_ETHERNET : 0n))
  a.call(BPF_FUNC_skb_adjust_room).jumpIf(R0, '!=', 0, 'next')
  a.move(R1, R6).move(R2, l2Bytes).move(R3, FP).alu('add', R3, OUTER).move(R4, roomBytes)
  a.move(R5, BPF_F_INVALIDATE_HASH).call(BPF_FUNC_skb_store_bytes).jumpIf(R0, '!=', 0, 'drop')
  if (l2Bytes === 0) {
    // Room for an Ethernet header, which bpf_redirect_neigh fills in.
    a.move(R1, R6).move(R2, ETHERNET_HEADER_BYTES).move(R3, 0).call(BPF_FUNC_skb_change_head)
    a.jumpIf(R0, '!=', 0, 'drop')
  }
  a.jump('send')
}

/** Counts the frames, and their bytes as they would be one by one. R7 has the bytes of all. */
function count(a: Assembler, counts: number): void {
  a.map(R1, counts)
    .move(R2, FP)
    .alu('add', R2, ROW)
    .call(BPF_FUNC_map_lookup_elem)
    .jumpIf(R0, '==', 0, 'counted')
  a.load(8, R1, FP, BYTE).jumpIf(R1, '!=', 0, 'several').move(R1, 1).label('several')
  a.load(8, R2, R0, COUNTS.outFrames).alu('add', R2, R1).store(8, R0, COUNTS.outFrames, R2)
  a.alu('subtract', R1, 1).load(8, R2, FP, HEADERS).alu('multiply', R2, R1).alu('add', R7, R2)
  a.load(8, R2, R0, COUNTS.outBytes).alu('add', R2, R7).store(8, R0, COUNTS.outBytes, R2)
  a.label('counted')
}
