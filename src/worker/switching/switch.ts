import type { NativeMemory } from '../../linux/memory.js'
import { type Fdb, LEARN, type Learning } from '../../memory/fdb.js'
import type { PeerTable } from '../../memory/peer-table.js'
import type { Routes } from '../../memory/routes.js'
import type { StormLimit } from '../../memory/storm-limit.js'
import { DEVICE, FILTERED, FLOOD, NOT_ALLOWED, STORM } from '../../memory/target.js'
import { ETHERNET, ETHERNET_HEADER_BYTES, ETHERTYPE_QINQ, ETHERTYPE_VLAN } from '../../wire/ethernet.js'
import { ETHERTYPE_ARP, solicitedAddress } from '../../wire/neighbour.js'
import type { Forwarding } from './forwarding.js'

export interface SwitchOptions {
  readonly fdb: Fdb
  /** The peers' configured overlay addresses. */
  readonly addresses: Routes
  readonly storm: StormLimit
  readonly peers: Pick<PeerTable, 'inUse'>
  /** Whether frames from one peer are passed on to others. */
  readonly relay: boolean
}

/**
 * The first two bytes and the last four of the bridge group addresses, 01:80:c2:00:00:00 to :0f (802.1D,
 * 7.12.6).
 */
const BRIDGE_GROUP_HIGH = 0x0180
const BRIDGE_GROUP_LOW = 0xc2000000 | 0

const VLAN_ID_MASK = 0xfff

/**
 * A learning switch. Its ports are the device and the peers. It follows IEEE 802.1D (7.7 to 7.9). Between peers
 * it has a split horizon, as in a VPLS (RFC 4762, 4.4), in which every end reaches every other one directly.
 *
 * - A frame from the device goes to the port where its destination was seen. It goes everywhere if the
 *   destination is unknown or a group.
 * - A frame from a peer goes to the device if its destination is there, is unknown, or is a group.
 * - A frame from a peer whose destination is behind a peer is filtered. If it is the same peer, the frame has
 *   been delivered at that side, and came only because that side did not know the destination. If it is another
 *   peer, the sender has also sent or flooded the frame to that peer. 802.1D sends such a frame only to the
 *   destination's port, and the split horizon removes that port. The device does not get the frame, because a
 *   bridge behind it might flood it. If the destination has moved to this side, its first frame from here
 *   corrects the FDB.
 * - A frame from a peer goes nowhere if its source is configured for another peer, or is this device's own. Nor does one
 *   from a row that is not in use: somebody who may only talk with main.
 * - With relay (a hub) there is no split horizon. The hub passes frames on to other peers, to a known one or to
 *   all, as a switch does. It never sends a frame back to its sender. Two hubs in one network are a loop like
 *   any other.
 *
 * Unlike in 802.1D, the bridges' own frames are carried, so that bridges behind the ends can find loops. The
 * limit on broadcasts does not apply to them. Tagged frames are learnt and found for each VLAN. An untagged
 * question for a configured peer's address goes only to that peer. Within a VLAN the address may belong to
 * another host.
 */
export class Switch implements Forwarding {
  readonly #view: DataView
  readonly #options: SwitchOptions
  /**
   * The last frame's addresses and the four bytes after them, as words; where it came from, and where it went.
   */
  readonly #last = new Int32Array(4)
  #lastFrom = FLOOD
  #lastTarget = FLOOD
  /** The FDB's change number at that decision. */
  #changes = 0

  constructor({ view }: NativeMemory, options: SwitchOptions) {
    this.#view = view
    this.#options = options
  }

  begin(): void {
    const { changes } = this.#options.fdb
    if (changes === this.#changes) return
    this.#changes = changes
    this.#lastFrom = FLOOD
  }

  fromDevice(frame: number, bytes: number, frames: number): number {
    if (this.#isLikeLast(frame, DEVICE)) return this.#lastTarget
    const { fdb, storm } = this.#options
    const vlan = this.#vlan(frame)
    this.#learn(frame, vlan, DEVICE)
    if (this.#isGroup(frame)) {
      const row = vlan === 0 ? this.#asked(frame, bytes) : FLOOD
      if (row !== FLOOD || this.#isBridges(frame)) return row
      return storm.allows(DEVICE, frames) ? FLOOD : STORM
    }
    const port = fdb.find(this.#high(frame) | (vlan << 16), this.#low(frame))
    if (port === FLOOD) return storm.allows(DEVICE, frames) ? FLOOD : STORM
    return this.#remember(frame, DEVICE, port === DEVICE ? FILTERED : port)
  }

  fromPeer(frame: number, bytes: number, row: number): number {
    if (this.#isLikeLast(frame, row)) return this.#lastTarget
    const { fdb, storm, relay, peers } = this.#options
    if (!peers.inUse(row)) return NOT_ALLOWED
    const vlan = this.#vlan(frame)
    if (this.#learn(frame, vlan, row) === LEARN.pinned) return NOT_ALLOWED
    if (this.#isGroup(frame)) {
      if (this.#isBridges(frame)) return FLOOD
      if (!storm.allows(row, 1)) return STORM
      const asked = relay && vlan === 0 ? this.#asked(frame, bytes) : FLOOD
      return asked === row ? FILTERED : asked
    }
    const port = fdb.find(this.#high(frame) | (vlan << 16), this.#low(frame))
    if (port === FLOOD && relay) return storm.allows(row, 1) ? FLOOD : STORM
    const target = port < 0 || (relay && port !== row) ? port : FILTERED
    return this.#remember(frame, row, target)
  }

  #learn(frame: number, vlan: number, port: number): Learning {
    const source = frame + ETHERNET.source
    return this.#options.fdb.learn(this.#high(source) | (vlan << 16), this.#low(source), port)
  }

  /** A MAC's first two bytes. `#low` gives its last four. */
  #high(mac: number): number {
    return this.#view.getUint16(mac)
  }

  #low(mac: number): number {
    return this.#view.getInt32(mac + 2)
  }

  #isGroup(mac: number): boolean {
    return (this.#view.getUint8(mac) & 1) !== 0
  }

  #isBridges(mac: number): boolean {
    return this.#high(mac) === BRIDGE_GROUP_HIGH && (this.#low(mac) & ~0xf) === BRIDGE_GROUP_LOW
  }

  /** 0 for a frame without a tag, or with a priority tag only (802.1Q, 9.6). */
  #vlan(frame: number): number {
    const type = this.#view.getUint16(frame + ETHERNET.type)
    if (type !== ETHERTYPE_VLAN && type !== ETHERTYPE_QINQ) return 0
    return this.#view.getUint16(frame + ETHERNET_HEADER_BYTES) & VLAN_ID_MASK
  }

  /** The peer whose configured address this frame asks for, {@link FLOOD} if it asks for none. */
  #asked(frame: number, bytes: number): number {
    const type = this.#view.getUint16(frame + ETHERNET.type)
    const payload = frame + ETHERNET_HEADER_BYTES
    const address = solicitedAddress(this.#view, type, payload, bytes - ETHERNET_HEADER_BYTES)
    if (address === 0) return FLOOD
    const { addresses } = this.#options
    return type === ETHERTYPE_ARP ? addresses.find4(address) : addresses.find6(address)
  }

  /** Whether the frame has the same port, addresses, type and tag as the frame before. */
  #isLikeLast(frame: number, from: number): boolean {
    const last = this.#last
    return (
      from === this.#lastFrom &&
      this.#view.getInt32(frame + 8) === last[2] &&
      this.#view.getInt32(frame + 4) === last[1] &&
      this.#view.getInt32(frame) === last[0] &&
      this.#view.getInt32(frame + 12) === last[3]
    )
  }

  #remember(frame: number, from: number, target: number): number {
    for (let word = 0; word < 4; word++) this.#last[word] = this.#view.getInt32(frame + 4 * word)
    this.#lastFrom = from
    this.#lastTarget = target
    return target
  }
}
