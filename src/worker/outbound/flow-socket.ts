import { mixed } from '../../memory/flows.js'
import { l3Offset } from '../../offload/parse.js'
import { ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../wire/ethernet.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES } from '../../wire/ip.js'
import { IPV4, IPV4_NOT_DF } from '../../wire/ipv4.js'
import { IPV6 } from '../../wire/ipv6.js'
import { IPPROTO_TCP } from '../../wire/tcp.js'
import { IPPROTO_UDP } from '../../wire/udp.js'

const PORTS_BYTES = 4

/**
 * Chooses the socket that sends a frame, and with it the source port of the datagram (RFC 7348, 5). All frames of a flow
 * have the same one, so they stay in order. Different flows may go different ways in the underlay, and to different
 * queues of the receiver.
 *
 * A flow is what has the same MACs, IP addresses and, if it is TCP or UDP right behind the IP header, ports. Fragments
 * count without ports, because only the first one has them. A frame comes alone most of the time, so the way through this
 * code is short, and nearly the same for all frames: V8 then has nothing to take back when another kind of frame comes.
 */
export class FlowSocket {
  readonly #view: DataView
  readonly #mask: number

  /** @param count of sockets: a power of two */
  constructor(view: DataView, count: number) {
    this.#view = view
    this.#mask = count - 1
  }

  /** The number of the socket for a frame, or for a super-frame with such segments: from 1 on. */
  of(frame: number, bytes: number): number {
    const view = this.#view
    const l3 = l3Offset(view, frame, ETHERNET_HEADER_BYTES)
    const type = view.getUint16(frame + l3 - 2)
    const end = frame + bytes
    const ip = frame + l3
    let hash = this.#words(0, frame, 3)
    let ports = end
    if (type === ETHERTYPE_IPV4 && ip + IPV4_HEADER_BYTES <= end) {
      hash = this.#words(hash, ip + IPV4.source, 2)
      const isWhole = (view.getUint16(ip + IPV4.flagsFragment) & IPV4_NOT_DF) === 0
      if (isWhole && hasPorts(view.getUint8(ip + IPV4.protocol)))
        ports = ip + (view.getUint8(ip + IPV4.versionIhl) & 0xf) * 4
    } else if (type === ETHERTYPE_IPV6 && ip + IPV6_HEADER_BYTES <= end) {
      hash = this.#words(hash, ip + IPV6.source, 8)
      if (hasPorts(view.getUint8(ip + IPV6.nextHeader))) ports = ip + IPV6_HEADER_BYTES
    }
    if (ports + PORTS_BYTES <= end) hash = this.#words(hash, ports, 1)
    // Once more, because the high bits of the last word are not in the low ones yet.
    return 1 + (mixed(hash, 0) & this.#mask)
  }

  #words(hash: number, at: number, count: number): number {
    let all = hash
    for (let word = 0; word < count; word++) all = mixed(all, this.#view.getInt32(at + 4 * word))
    return all
  }
}

function hasPorts(protocol: number): boolean {
  return protocol === IPPROTO_TCP || protocol === IPPROTO_UDP
}
