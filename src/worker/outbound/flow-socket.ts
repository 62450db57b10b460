import { hashOf, KEY_WORDS } from '../../memory/flows.js'
import { l3Offset } from '../../offload/parse.js'
import { ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../wire/ethernet.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES } from '../../wire/ip.js'
import { FlowKey, KIND } from '../switching/flow-key.js'

/**
 * Chooses the socket that sends a frame, and with it the source port of the datagram (RFC 7348, 5). All frames of a flow
 * have the same one, so they stay in order. Different flows may go different ways in the underlay, and to different
 * queues of the receiver.
 */
export class FlowSocket {
  readonly #view: DataView
  readonly #key: FlowKey
  readonly #mask: number
  readonly #macs = new Int32Array(KEY_WORDS)

  /** @param count of sockets: a power of two */
  constructor(view: DataView, count: number) {
    this.#view = view
    this.#key = new FlowKey(view)
    this.#mask = count - 1
  }

  /** The number of the socket for a frame, or for a super-frame with such segments: from 1 on. */
  of(frame: number, bytes: number): number {
    const view = this.#view
    const l3 = l3Offset(view, frame, ETHERNET_HEADER_BYTES)
    const type = view.getUint16(frame + l3 - 2)
    const ipBytes = bytes - l3
    if (
      (type === ETHERTYPE_IPV4 && ipBytes >= IPV4_HEADER_BYTES) ||
      (type === ETHERTYPE_IPV6 && ipBytes >= IPV6_HEADER_BYTES)
    )
      return this.#ofPacket(frame + l3, ipBytes)
    const macs = this.#macs
    for (let word = 0; word < 3; word++) macs[word] = view.getInt32(frame + 4 * word)
    return 1 + (hashOf(macs) & this.#mask)
  }

  #ofPacket(packet: number, bytes: number): number {
    const key = this.#key
    key.read(packet, bytes, true)
    // Only the first fragment has ports, and all of them must go the same way.
    if (key.kind !== KIND.flow || key.isFirstFragment) key.toAddresses()
    return 1 + (hashOf(key.words) & this.#mask)
  }
}
