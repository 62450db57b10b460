import { FdbUpkeep } from '../../src/memory/fdb-upkeep.js'
import { formatMac, type MacAddress } from '../../src/wire/ethernet.js'
import type { IpFamily } from '../../src/wire/ip.js'
import type { DeviceMode } from '../../src/wire/mode.js'
import { frameOf, textOf } from './frames.js'
import { type PacketChoices, packetOf, readTooBig, type TooBig, textIn } from './packets.js'
import type { SimPlatform } from './platform.js'

/** A frame that has come for a host, with the row of the peer that sent it. */
export interface Received {
  readonly row: number
  readonly text: string
  readonly bytes: number
  readonly atMs: number
}

/** A host inside the tunnel: its addresses there, what it sends by its device, and what has come out of that. */
export class SimOverlay {
  readonly mode: DeviceMode
  readonly mac: MacAddress
  readonly ipv4: string
  readonly ipv6: string
  readonly received: Received[] = []
  /** Mode tun: what it was told of packets that were too long. */
  readonly tooBig: TooBig[] = []

  /** @param number one of its own, from 1 to 254 */
  constructor(mode: DeviceMode, number: number) {
    this.mode = mode
    this.mac = [2, 0, 0, 0, 0, number]
    this.ipv4 = `10.9.0.${number}`
    this.ipv6 = `fd00:9::${number.toString(16)}`
  }

  /** Its addresses as its own settings have them. In mode tun it has one of each family. */
  get local(): string[] {
    return [`${this.ipv4}/24`, ...(this.mode === 'tun' ? [`${this.ipv6}/64`] : [])]
  }

  /** Its addresses as the settings of others have them. */
  get asPeer(): Record<string, unknown> {
    return this.mode === 'tap' ? { macs: [formatMac(this.mac)] } : { addresses: [this.ipv4, this.ipv6] }
  }

  address(family: IpFamily): string {
    return family === 'ipv4' ? this.ipv4 : this.ipv6
  }

  /** Sends a frame, in mode tun an IPv4 packet, to another host. In mode tap it is lost while nobody has that address. */
  offer({ workers, memory, plan }: SimPlatform, to: SimOverlay, text: string, bytes?: number): void {
    if (this.mode === 'tun') workers.path?.route(packetOf(this.ipv4, to.ipv4, text, { bytes }))
    else {
      const fdb = new FdbUpkeep(memory, plan.fdb, plan.peerRows)
      const [a, b, c, d, e, f] = to.mac
      const row = fdb.find((a << 8) | b, (c << 24) | (d << 16) | (e << 8) | f)
      if (row >= 0) workers.path?.offer(row, frameOf(to.mac, this.mac, text, bytes))
    }
  }

  /** Mode tun: sends a packet, by default from its own address of that family. */
  send(
    { workers }: SimPlatform,
    to: string,
    text: string,
    { from, ...choices }: PacketChoices & { readonly from?: string } = {},
  ): void {
    const own = from ?? this.address(to.includes(':') ? 'ipv6' : 'ipv4')
    workers.path?.route(packetOf(own, to, text, choices))
  }

  /** A frame has come from a peer. */
  take(row: number, frame: Uint8Array, atMs: number): void {
    const text = this.mode === 'tap' ? textOf(frame) : textIn(frame)
    this.received.push({ row, text, bytes: frame.length, atMs })
  }

  /** An answer has come to a frame that was too long. */
  takeAnswer(answer: Uint8Array): void {
    if (this.mode === 'tun') this.tooBig.push(readTooBig(answer))
  }
}
