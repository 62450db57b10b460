import type { NativeMemory } from '../../linux/memory.js'
import { type Fdb, LEARN, type Learning } from '../../memory/fdb.js'
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
  /** Whether frames from one peer are passed on to others. */
  readonly relay: boolean
}

/** The first four bytes and the next of the group that bridges speak in, 01:80:c2:00:00:00 to :0f (802.1D, 7.12.6). */
const BRIDGE_GROUP_HIGH = 0x0180
const BRIDGE_GROUP_LOW = 0xc2000000 | 0

const VLAN_ID_MASK = 0xfff

/**
 * A learning switch whose ports are the device and the peers. IEEE 802.1D's rules (7.7 to 7.9), and split
 * horizon between peers, as in a VPLS (RFC 4762, 4.4), where every end reaches every other one by itself:
 *
 * * From the device: to the port where the destination was seen; everywhere if that is not known, or a group.
 * * From a peer: to the device if the destination is there, is not known, or is a group. A frame whose
 *   destination is behind a peer is filtered: behind the same one, it has been delivered over there, and has
 *   come only because that side did not know; behind another one, the sender has sent, or flooded, it there
 *   too. 802.1D gives a known destination's frames to its port and no other, and the split horizon takes that
 *   port away. The device gets nothing of it: a bridge behind it that knows no better would flood it. Should
 *   the destination have moved to this side, its first frame from here says so.
 * * From a peer, with a source that is configured to be another one's, or is this device's own: nowhere.
 * * With relay (a hub) the split horizon is off, and the hub is to the spokes what a switch is: to other peers,
 *   known or all, never back to where it came from. Two hubs in one network are a loop like any other.
 *
 * Bridges' own frames are carried, unlike 802.1D says, so that the bridges behind the ends find their loops;
 * they pass the limit on broadcasts, too. Tagged frames are learnt and found for each VLAN. Who asks, without
 * a tag, for the address of a configured peer, asks that peer alone: within a VLAN the address may be another's.
 */
export class Switch implements Forwarding {
  readonly #view: DataView
  readonly #options: SwitchOptions
  /** The last frame's addresses and what follows, in words; where it came from, and where it went. */
  readonly #last = new Int32Array(4)
  #lastFrom = FLOOD
  #lastTarget = FLOOD
  /** The database's, as it was when that was found out. */
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
      const peer = vlan === 0 ? this.#asked(frame, bytes) : FLOOD
      if (peer !== FLOOD || this.#isBridges(frame)) return peer
      return storm.allows(DEVICE, frames) ? FLOOD : STORM
    }
    const port = fdb.find(this.#high(frame) | (vlan << 16), this.#low(frame))
    if (port === FLOOD) return storm.allows(DEVICE, frames) ? FLOOD : STORM
    return this.#remember(frame, DEVICE, port === DEVICE ? FILTERED : port)
  }

  fromPeer(frame: number, bytes: number, peer: number): number {
    if (this.#isLikeLast(frame, peer)) return this.#lastTarget
    const { fdb, storm, relay } = this.#options
    const vlan = this.#vlan(frame)
    if (this.#learn(frame, vlan, peer) === LEARN.pinned) return NOT_ALLOWED
    if (this.#isGroup(frame)) {
      if (this.#isBridges(frame)) return FLOOD
      if (!storm.allows(peer, 1)) return STORM
      const asked = relay && vlan === 0 ? this.#asked(frame, bytes) : FLOOD
      return asked === peer ? FILTERED : asked
    }
    const port = fdb.find(this.#high(frame) | (vlan << 16), this.#low(frame))
    if (port === FLOOD && relay) return storm.allows(peer, 1) ? FLOOD : STORM
    const target = port < 0 || (relay && port !== peer) ? port : FILTERED
    return this.#remember(frame, peer, target)
  }

  #learn(frame: number, vlan: number, port: number): Learning {
    const source = frame + ETHERNET.source
    return this.#options.fdb.learn(this.#high(source) | (vlan << 16), this.#low(source), port)
  }

  /** A MAC's first two bytes, and its last four. */
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

  /** 0 for a frame without a tag, or with one that only says its priority (802.1Q, 9.6). */
  #vlan(frame: number): number {
    const type = this.#view.getUint16(frame + ETHERNET.type)
    if (type !== ETHERTYPE_VLAN && type !== ETHERTYPE_QINQ) return 0
    return this.#view.getUint16(frame + ETHERNET_HEADER_BYTES) & VLAN_ID_MASK
  }

  /** The peer whose configured address this frame asks after, {@link FLOOD} if it asks after none. */
  #asked(frame: number, bytes: number): number {
    const type = this.#view.getUint16(frame + ETHERNET.type)
    const payload = frame + ETHERNET_HEADER_BYTES
    const address = solicitedAddress(this.#view, type, payload, bytes - ETHERNET_HEADER_BYTES)
    if (address === 0) return FLOOD
    const { addresses } = this.#options
    return type === ETHERTYPE_ARP ? addresses.find4(address) : addresses.find6(address)
  }

  /** Whether it came from the same port with the same addresses, type and tag as the frame before. */
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
