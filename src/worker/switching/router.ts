import type { NativeMemory } from '../../linux/memory.js'
import type { Routes } from '../../memory/routes.js'
import { DEVICE, FILTERED, FLOOD, MALFORMED, NO_ROUTE, NOT_ALLOWED } from '../../memory/target.js'
import { looksLikeIp } from '../../wire/ip.js'
import { IPV4 } from '../../wire/ipv4.js'
import { IPV6 } from '../../wire/ipv6.js'
import type { Forwarding } from './forwarding.js'

/** 224.0.0.0/24 without the last byte, and ff02::/16 without the flags of the group. */
const LINK_MULTICAST4 = 0xe00000
const LINK_MULTICAST6 = 0xff02

/**
 * Forwards IP packets by the peers' prefixes. A packet from the device goes to the peer with the longest prefix
 * that matches its destination. A packet from a peer goes to the device if that peer has the longest prefix
 * that matches its source. Otherwise it goes nowhere. The host itself routes packets between peers, as with any
 * router (`net.ipv4.ip_forward`). They go to the host through the device, and come back through it.
 *
 * While an address changes hands, because two members have met or have lost each other, its packets may come from both
 * peers. The other one is in a table of its own, which is looked at only for packets that would go nowhere.
 */
export class Router implements Forwarding {
  readonly #view: DataView
  readonly #u8: Uint8Array
  readonly #routes: Routes
  readonly #heirs: Routes | undefined
  /** The last address that was looked up: its IP version, its words, and its peer. */
  #lastVersion = 0
  readonly #last = new Int32Array(4)
  #lastOwner = FLOOD
  /** The routes' change number at that look-up. */
  #changes = 0

  /** @param heirs who else may send from an address, if anybody may */
  constructor({ view, u8 }: NativeMemory, routes: Routes, heirs?: Routes) {
    this.#view = view
    this.#u8 = u8
    this.#routes = routes
    this.#heirs = heirs
  }

  begin(): void {
    const { changes } = this.#routes
    if (changes === this.#changes) return
    this.#changes = changes
    this.#lastVersion = 0
  }

  fromDevice(packet: number, bytes: number): number {
    if (!looksLikeIp(this.#u8, packet, bytes)) return MALFORMED
    const row = this.#owner(packet, IPV4.destination, IPV6.destination)
    if (row !== FLOOD) return row
    return this.#isForLink(packet) ? FILTERED : NO_ROUTE
  }

  fromPeer(packet: number, bytes: number, row: number): number {
    if (!looksLikeIp(this.#u8, packet, bytes)) return MALFORMED
    if (this.#owner(packet, IPV4.source, IPV6.source) === row) return DEVICE
    return this.#heir(packet) === row ? DEVICE : NOT_ALLOWED
  }

  /**
   * Whether the destination is a multicast address of the link alone (RFC 5771, RFC 4291), which nobody routes. Hosts
   * send such packets by themselves, to look for routers and names. So they say nothing of the settings.
   */
  #isForLink(packet: number): boolean {
    if (this.#u8[packet] >>> 4 === 4)
      return this.#view.getUint32(packet + IPV4.destination) >>> 8 === LINK_MULTICAST4
    return (this.#view.getUint16(packet + IPV6.destination) & 0xff0f) === LINK_MULTICAST6
  }

  /** Who else may send from the source address of a packet. */
  #heir(packet: number): number {
    const heirs = this.#heirs
    if (heirs === undefined) return FLOOD
    if (this.#u8[packet] >>> 4 === 4) return heirs.find4(packet + IPV4.source)
    return heirs.find6(packet + IPV6.source)
  }

  /**
   * The peer with the longest prefix of an address. The address is at offset `at4` of an IPv4 packet, or `at6`
   * of an IPv6 packet.
   */
  #owner(packet: number, at4: number, at6: number): number {
    return this.#u8[packet] >>> 4 === 4 ? this.#owner4(packet + at4) : this.#owner6(packet + at6)
  }

  #owner4(at: number): number {
    const word = this.#view.getInt32(at)
    if (this.#lastVersion === 4 && this.#last[0] === word) return this.#lastOwner
    this.#lastVersion = 4
    this.#last[0] = word
    this.#lastOwner = this.#routes.find4(at)
    return this.#lastOwner
  }

  #owner6(at: number): number {
    let same = this.#lastVersion === 6
    for (let word = 3; word >= 0; word--) {
      const value = this.#view.getInt32(at + 4 * word)
      if (this.#last[word] === value) continue
      this.#last[word] = value
      same = false
    }
    if (same) return this.#lastOwner
    this.#lastVersion = 6
    this.#lastOwner = this.#routes.find6(at)
    return this.#lastOwner
  }
}
