import type { Host } from '../../src/lab/host.js'
import { readControl } from '../../src/wire/control.js'
import { ETHERNET, ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../src/wire/ethernet.js'
import { IPV4_HEADER_BYTES, UDP_HEADER_BYTES } from '../../src/wire/ip.js'
import { IPPROTO_UDP } from '../../src/wire/udp.js'
import { PacketSocket } from '../support/hosts/packet-socket.js'

const TUNNEL_PORT = 5149

/** How many there were of each kind: see {@link kindOf}. */
export type Kinds = ReadonlyMap<string, number>

/**
 * What a packet on the underlay of a tunnel over IPv4 in tap mode is: `frame`, a datagram with a frame of the device; the
 * type of a control frame, as in wire/control.ts; or else its protocol, which is not the tunnel's.
 */
function kindOf(packet: Buffer): string {
  const ethertype = packet.readUInt16BE(ETHERNET.type)
  if (ethertype === ETHERTYPE_IPV6) return 'IPv6'
  if (ethertype !== ETHERTYPE_IPV4) return `0x${ethertype.toString(16).padStart(4, '0')}`
  const ip = packet.subarray(ETHERNET_HEADER_BYTES)
  const udp = ip.subarray(IPV4_HEADER_BYTES)
  if (ip[9] !== IPPROTO_UDP) return `IPv4, protocol ${ip[9]}`
  if (udp.readUInt16BE(2) !== TUNNEL_PORT) return `UDP, port ${udp.readUInt16BE(2)}`
  const payload = udp.subarray(UDP_HEADER_BYTES, udp.readUInt16BE(4))
  return readControl('tap', payload, payload.length)?.type ?? 'frame'
}

/** Counts what passes the `eth0` of a host, which has no offloads, by kind. */
export class Passing implements Disposable {
  readonly #socket: PacketSocket
  readonly #sent = new Map<string, number>()
  readonly #came = new Map<string, number>()

  constructor(host: Host) {
    this.#socket = new PacketSocket(host, 'eth0')
  }

  /** What has passed since the start. */
  get seen(): { sent: Kinds; came: Kinds } {
    for (let it = this.#socket.receive(); it !== undefined; it = this.#socket.receive()) {
      const counts = it.outgoing ? this.#sent : this.#came
      const kind = kindOf(it.bytes)
      counts.set(kind, (counts.get(kind) ?? 0) + 1)
    }
    return { sent: this.#sent, came: this.#came }
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]()
  }
}

/** In words: all but the frames. */
export function othersOf(kinds: Kinds): string {
  const others = [...kinds].filter(([kind]) => kind !== 'frame')
  return others.map(([kind, count]) => `${count} ${kind}`).join(', ') || 'nothing'
}
