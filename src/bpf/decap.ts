import { BPF_F_ADJ_ROOM_DECAP_L3_IPV4, BPF_F_ADJ_ROOM_DECAP_L4_UDP, BpfProgram } from '../linux/bpf.js'
import { BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO, BPF_FUNC_skb_adjust_room } from '../linux/constants.js'
import { __sk_buff } from '../linux/structs.js'
import { ETHERNET, ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4 } from '../wire/ethernet.js'
import { IPV4_HEADER_BYTES, UDP_HEADER_BYTES } from '../wire/ip.js'
import { IPV4 } from '../wire/ipv4.js'
import { IPPROTO_UDP } from '../wire/udp.js'
import { Assembler, R2, R3, R4 } from './assembler.js'

/**
 * Whether this kernel takes away a super-frame's mark of a UDP tunnel when a program unwraps it. The flag is too new to
 * ask for by a version, so a program that uses it is tried on one datagram. @throws KernelError
 */
export function takesDecapUdp(): boolean {
  const wrapped = IPV4_HEADER_BYTES + UDP_HEADER_BYTES
  const a = new Assembler()
  a.move(R2, -wrapped).move(R3, BPF_ADJ_ROOM_MAC)
  a.move(R4, BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_DECAP_L3_IPV4 | BPF_F_ADJ_ROOM_DECAP_L4_UDP)
  // R1 is the context as the program begins. The result is the helper's.
  const program = new BpfProgram('udptun_try', a.call(BPF_FUNC_skb_adjust_room).exit().assemble())
  try {
    return program.try(datagram(), new Uint8Array(__sk_buff.size)).result === 0
  } finally {
    program.close()
  }
}

/** An IPv4 packet in a UDP datagram, in an Ethernet frame. */
function datagram(): Uint8Array {
  const bytes = new Uint8Array(ETHERNET_HEADER_BYTES + 2 * (IPV4_HEADER_BYTES + UDP_HEADER_BYTES))
  const view = new DataView(bytes.buffer)
  view.setUint16(ETHERNET.type, ETHERTYPE_IPV4)
  for (let ip = ETHERNET_HEADER_BYTES; ip < bytes.length; ip += IPV4_HEADER_BYTES + UDP_HEADER_BYTES) {
    view.setUint8(ip + IPV4.versionIhl, 0x45)
    view.setUint16(ip + IPV4.totalLength, bytes.length - ip)
    view.setUint8(ip + IPV4.protocol, IPPROTO_UDP)
  }
  return bytes
}
