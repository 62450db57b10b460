/** One end of the kernel's own datapath without hosts: its programs, and what comes and goes (`BPF_PROG_TEST_RUN`). */
import { takesDecapUdp } from '../../../src/bpf/decap.js'
import { inboundProgram } from '../../../src/bpf/inbound.js'
import { COUNTS, PORT_CARRIED, PORT_DEVICE, PORT_PINNED } from '../../../src/bpf/layout.js'
import { Maps } from '../../../src/bpf/maps.js'
import { outboundProgram } from '../../../src/bpf/outbound.js'
import {
  macKey,
  macValue,
  peerValue,
  prefixKey,
  prefixValue,
  rowKey,
  sourceKey,
  sourceValue,
  type Way,
} from '../../../src/bpf/values.js'
import { BpfProgram } from '../../../src/linux/bpf.js'
import { __sk_buff } from '../../../src/linux/structs.js'
import { internetChecksum } from '../../../src/wire/checksum.js'
import { ECN_MASK } from '../../../src/wire/ecn.js'
import type { DeviceMode } from '../../../src/wire/mode.js'
import { frame as ethernet, ipv4, ipv6 } from './frames.js'

export const PORT = 5149
export const OWN = [0x02, 0, 0, 0, 0, 0x0a] as const
export const THEIRS = [0x02, 0, 0, 0, 0, 0x0b] as const
export const THIRD = [0x02, 0, 0, 0, 0, 0x0c] as const
export const NEW = [0x02, 0, 0, 0, 0, 0x0d] as const
export const GROUP = [0x01, 0, 0x5e, 0, 0, 1] as const
export const ROW = 7
export const OTHER_ROW = 8
export const LONGEST = 1458
/** The only interface of a trial: lo. Its MAC is all zeros. */
const IFINDEX = 1

export const WAYS: Readonly<Record<'ipv4' | 'ipv6', Way>> = {
  ipv4: {
    source: Uint8Array.of(192, 0, 2, 1),
    destination: Uint8Array.of(198, 51, 100, 2),
    sourcePort: PORT,
    destinationPort: 6000,
    ifindex: IFINDEX,
  },
  ipv6: {
    source: Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),
    destination: Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2),
    sourcePort: PORT,
    destinationPort: 6000,
    ifindex: IFINDEX,
  },
}

/** One end: its maps and programs. */
export class End {
  readonly maps = new Maps(256, 1024, 1024)
  readonly out: BpfProgram
  readonly in: BpfProgram

  constructor(
    way: Way,
    mode: DeviceMode = 'tap',
    decapUdp = takesDecapUdp(),
    dsMask = ECN_MASK,
    vni: number | undefined = undefined,
  ) {
    const { fds } = this.maps
    const mac = Uint8Array.from(OWN)
    this.out = new BpfProgram('udptun_out', outboundProgram(fds, { mode, mac, dsMask, vni, mark: 0 }))
    this.in = new BpfProgram(
      'udptun_in',
      inboundProgram(fds, { mode, mac, vni, port: PORT, device: IFINDEX, decapUdp }),
    )
    this.mac(OWN, PORT_DEVICE)
    this.mac(THEIRS, ROW | PORT_CARRIED)
    this.mac(THIRD, OTHER_ROW | PORT_PINNED)
    this.maps.peers.set(rowKey(ROW), peerValue(ROW, way, LONGEST))
    this.maps.sources.set(sourceKey(way), sourceValue(way, ROW))
  }

  mac(mac: readonly number[], port: number): void {
    this.maps.macs.set(macKey(mac), macValue(mac, port, 0n))
  }

  removeMac(mac: readonly number[]): void {
    this.maps.macs.delete(macKey(mac))
  }

  removePrefix(address: readonly number[], prefixLength: number): void {
    const map = address.length === 4 ? this.maps.prefixes4 : this.maps.prefixes6
    map.delete(prefixKey(address, prefixLength))
  }

  prefix(address: readonly number[], prefixLength: number, row: number, carried = true): void {
    const map = address.length === 4 ? this.maps.prefixes4 : this.maps.prefixes6
    map.set(prefixKey(address, prefixLength), prefixValue(row, carried))
  }

  /** Both directions' counts of the row, all processors together. */
  count(name: keyof typeof COUNTS): number {
    const bytes = this.maps.counts.get(rowKey(ROW)) ?? new Uint8Array(0)
    const view = new DataView(bytes.buffer)
    let sum = 0
    for (let at = 0; at < bytes.length; at += COUNTS.valueBytes)
      sum += Number(view.getBigUint64(at + COUNTS[name], true))
    return sum
  }

  /** With VXLAN: no frame is left to the workers soon, in either direction. */
  noTrials(): void {
    const bytes = this.maps.counts.get(rowKey(ROW)) ?? new Uint8Array(0)
    const view = new DataView(bytes.buffer)
    // The programs' clock stands at the kernel's last tick.
    const now = process.hrtime.bigint() - 100_000_000n
    for (let at = 0; at < bytes.length; at += COUNTS.valueBytes) {
      view.setBigUint64(at + COUNTS.outTrialNs, now, true)
      view.setBigUint64(at + COUNTS.inTrialNs, now, true)
    }
    this.maps.counts.set(rowKey(ROW), bytes)
  }

  /** What main is told: a MAC in hex, and the row. */
  news(): string | undefined {
    const it = this.maps.news.shift()
    return it && `${Buffer.from(it.subarray(0, 6)).toString('hex')} ${it[6]}${it[7] === 0x80 ? ' probe' : ''}`
  }

  [Symbol.dispose](): void {
    this.out.close()
    this.in.close()
    this.maps.close()
  }
}

export const CONTEXT = new Uint8Array(__sk_buff.size)

export function mac(bytes: Uint8Array, to: readonly number[], from: readonly number[]): Buffer {
  const copy = Buffer.from(bytes)
  copy.set(to, 0)
  copy.set(from, 6)
  return copy
}

export const inner4 = (payload = 100) =>
  ethernet([2, 0, 0, 0, 0, 0], 0x0800, ipv4(17, Buffer.alloc(payload, 1)))
export const inner6 = (payload = 100) =>
  ethernet([2, 0, 0, 0, 0, 0], 0x86dd, ipv6(17, Buffer.alloc(payload, 1)))

/**
 * What the workers would have sent, but for the UDP checksum; the outer Ethernet header is the frame's own yet, or zeros
 * in mode tun.
 */
export function wrapped(frame: Buffer, way: Way, mode: DeviceMode = 'tap'): Buffer {
  const udp = Buffer.alloc(8)
  udp.writeUInt16BE(way.sourcePort, 0)
  udp.writeUInt16BE(way.destinationPort, 2)
  udp.writeUInt16BE(8 + frame.length, 4)
  const payload = Buffer.concat([udp, frame])
  const packet = way.source.length === 4 ? ipv4(17, payload) : ipv6(17, payload)
  if (way.source.length === 4) {
    packet.set(way.source, 12)
    packet.set(way.destination, 16)
    packet.writeUInt16BE(0, 10)
    packet.writeUInt16BE(internetChecksum(packet, 0, 20), 10)
  } else {
    packet[7] = 64
    packet.set(way.source, 8)
    packet.set(way.destination, 24)
  }
  const datagram = Buffer.concat([mode === 'tap' ? frame.subarray(0, 14) : Buffer.alloc(14), packet])
  setDsField(datagram, dsFieldOf(frame, mode === 'tap' ? 14 : 0) & ECN_MASK)
  return datagram
}

/** The DS field of the IP packet behind `l2` bytes. */
export function dsFieldOf(frame: Buffer, l2 = 14): number {
  const isIpv6 = l2 === 0 ? frame[0] >>> 4 === 6 : frame.readUInt16BE(l2 - 2) === 0x86dd
  return isIpv6 ? (frame.readUInt16BE(l2) >>> 4) & 0xff : frame[l2 + 1]
}

/** Sets the DS field of the IP packet behind `l2` bytes, and makes the checksum of IPv4 anew. */
export function setDsField(frame: Buffer, dsField: number, l2 = 14): Buffer {
  if (frame[l2] >>> 4 === 6) frame.writeUInt16BE(0x6000 | (dsField << 4), l2)
  else {
    frame[l2 + 1] = dsField
    frame.writeUInt16BE(0, l2 + 10)
    frame.writeUInt16BE(internetChecksum(frame, l2, 20), l2 + 10)
  }
  return frame
}

/** A datagram from the peer, to this host's MAC: the same way in the other direction. */
export function coming(frame: Buffer, way: Way, mode: DeviceMode = 'tap'): Buffer {
  const back = {
    ...way,
    source: way.destination,
    destination: way.source,
    sourcePort: way.destinationPort,
    destinationPort: way.sourcePort,
  }
  const datagram = mac(wrapped(frame, back, mode), [0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0x99])
  datagram.writeUInt16BE(way.source.length === 4 ? 0x0800 : 0x86dd, 12)
  return datagram
}
