import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { takesDecapUdp } from '../../bpf/decap.js'
import { inboundProgram } from '../../bpf/inbound.js'
import {
  COUNTS,
  MAC_ENTRY,
  NEWS,
  NEWS_PROBE,
  PORT_CARRIED,
  PORT_DEVICE,
  PORT_PINNED,
} from '../../bpf/layout.js'
import { Maps } from '../../bpf/maps.js'
import { outboundProgram } from '../../bpf/outbound.js'
import { probeFor } from '../../bpf/probe.js'
import {
  macKey,
  macValue,
  peerValue,
  prefixKey,
  prefixValue,
  rowKey,
  rowOfSource,
  sourceKey,
  sourceValue,
  type Way,
} from '../../bpf/values.js'
import { BPF_TCX_EGRESS, BPF_TCX_INGRESS, type BpfMap, BpfProgram } from '../../linux/bpf.js'
import { E2BIG, ENOSPC, KernelError } from '../../linux/errno.js'
import { linkIfThere } from '../../linux/interface.js'
import { close } from '../../linux/libc.js'
import type { Netlink } from '../../linux/netlink.js'
import { PacketSender } from '../../linux/packet-sender.js'
import { isShaped } from '../../linux/qdisc.js'
import type { Route } from '../../memory/prefixes.js'
import { DEVICE } from '../../memory/target.js'
import { ETHERTYPE_IPV4 } from '../../wire/ethernet.js'
import type { DeviceMode } from '../../wire/mode.js'
import type { KernelCounts, KernelNews, KernelPath, KernelWay, MacFlags } from '../datapath/kernel-path.js'
import type { Device } from '../device.js'
import type { DataSocket } from '../platform.js'
import type { Resources } from '../resources.js'
import { bytesOf, flowOf, PassedBy } from './passed-by.js'

/** MACs that the map has room for. More are carried by the workers. */
const MACS = 65_536

const NS_PER_S = 1_000_000_000n

export interface KernelPathOptions {
  readonly netlink: Netlink
  readonly mode: DeviceMode
  /** As in `OutboundOptions` (bpf/outbound.ts). */
  readonly dsMask: number
  readonly vni: number | undefined
  readonly device: Pick<Device, 'index' | 'mac'>
  /** Rows of peers. */
  readonly rows: number
  /** Prefixes of each IP version. */
  readonly prefixes: number
  /** This end's socket. */
  readonly socket: Pick<DataSocket, 'local' | 'mark' | 'sourcePorts'>
}

/** The kernel's own datapath on this host: its maps, its programs, and where they run. */
export class LinuxKernelPath implements KernelPath {
  readonly #options: KernelPathOptions
  readonly #maps: Maps
  readonly #outbound: BpfProgram
  readonly #inbound: BpfProgram
  readonly #sender: PacketSender
  readonly #passedBy: PassedBy
  /** The links of the inbound program, by the interface's number. */
  readonly #underlays = new Map<number, number>()
  readonly #ways = new Map<number, Way>()
  /** The mark of what the program sends. */
  readonly #mark: number
  #egress: number | undefined

  /** @throws KernelError; the resources have what must be closed then, too */
  constructor(options: KernelPathOptions, resources: Resources) {
    const { mode, dsMask, vni, device, rows, prefixes, socket } = options
    const { port } = socket.local
    this.#options = options
    this.#mark = socket.mark
    const mac = Uint8Array.from(device.mac ?? [])
    this.#maps = new Maps(rows, MACS, prefixes + rows)
    resources.defer(() => this.#maps.close())
    this.#outbound = new BpfProgram(
      'udptun_out',
      outboundProgram(this.#maps.fds, { mode, mac, dsMask, vni, mark: this.#mark }),
    )
    resources.defer(() => this.#outbound.close())
    this.#inbound = new BpfProgram(
      'udptun_in',
      inboundProgram(this.#maps.fds, {
        mode,
        mac,
        port,
        vni,
        device: device.index,
        decapUdp: takesDecapUdp(),
      }),
    )
    resources.defer(() => this.#inbound.close())
    this.#sender = new PacketSender(device.index, ETHERTYPE_IPV4)
    resources.defer(() => this.#sender.close())
    this.#passedBy = new PassedBy(port, vni !== undefined, () => options.socket.sourcePorts)
    resources.defer(() => this.#passedBy.close())
    // The first try shows whether this kernel has links at all.
    this.carry(true)
    this.carry(false)
    resources.defer(() => this.close())
  }

  get rows(): number {
    return this.#options.rows
  }

  get hindrance(): string | undefined {
    const { netlink, device, socket } = this.#options
    if (socket.mark !== this.#mark) return 'mark'
    if (linkIfThere(netlink, device.index)?.up !== true) return 'device_down'
    if (isCaptured(device.index)) return 'capture'
    return isShaped(netlink, device.index) ? 'qdisc' : undefined
  }

  policies(): (way: KernelWay) => boolean {
    return this.#passedBy.policies()
  }

  isTranslated(way: KernelWay): boolean {
    return this.#passedBy.isTranslated(way)
  }

  carry(on: boolean): void {
    if (on) this.#egress ??= this.#outbound.attach(this.#options.device.index, BPF_TCX_EGRESS)
    else if (this.#egress !== undefined) {
      close(this.#egress)
      this.#egress = undefined
    }
  }

  setMac(mac: Uint8Array, port: number, { pinned = false, carried = false }: MacFlags): boolean {
    const flags = (pinned ? PORT_PINNED : 0) | (carried ? PORT_CARRIED : 0)
    const place = (port === DEVICE ? PORT_DEVICE : port) | flags
    return hadRoom(E2BIG, () => this.#maps.macs.set(macKey(mac), macValue(mac, place, 0n)))
  }

  removeMac(mac: Uint8Array): void {
    this.#maps.macs.delete(macKey(mac))
  }

  setPrefix({ address, prefixLength, row }: Route, carried: boolean): boolean {
    const key = prefixKey(address, prefixLength)
    return hadRoom(ENOSPC, () => this.#prefixes(address).set(key, prefixValue(row, carried)))
  }

  removePrefix({ address, prefixLength }: Omit<Route, 'row'>): void {
    this.#prefixes(address).delete(prefixKey(address, prefixLength))
  }

  seenS(mac: Uint8Array): number | undefined {
    const value = this.#maps.macs.get(macKey(mac))
    const seenNs = value && new DataView(value.buffer).getBigUint64(MAC_ENTRY.seenNs, true)
    if (seenNs === undefined || seenNs === 0n) return undefined
    return Number((process.hrtime.bigint() - seenNs) / NS_PER_S)
  }

  setPeer(row: number, way: KernelWay, takes: boolean): boolean {
    const { ifindex } = way
    if (!this.#isEthernet(ifindex)) {
      this.removePeer(row)
      return false
    }
    const { socket, mode, vni } = this.#options
    const gateway = way.gateway === undefined ? undefined : bytesOf(way.gateway)
    const next = { ...flowOf(way, socket.local.port), ifindex, gateway, fromAnyPort: vni !== undefined }
    const before = this.#ways.get(row)
    // First the new one, because nothing is to miss its peer meanwhile.
    if (takes) this.#maps.sources.set(sourceKey(next), sourceValue(next, row))
    if (before !== undefined && !(takes && isDeepStrictEqual(sourceKey(before), sourceKey(next))))
      this.#removeSource(row)
    this.#ways.set(row, next)
    this.#maps.peers.set(rowKey(row), peerValue(row, next, way.longestFrameBytes))
    const { mac, address } = probeFor(row)
    // No end of a VXLAN network answers probes.
    if (vni === undefined && mode === 'tap') this.setMac(mac, row, { carried: true })
    else if (mode === 'tun') this.setPrefix({ address, prefixLength: 32, row }, true)
    this.#listen()
    return true
  }

  removePeer(row: number): void {
    const { mac, address } = probeFor(row)
    if (this.#options.mode === 'tap') this.removeMac(mac)
    else this.removePrefix({ address, prefixLength: 32 })
    this.#maps.peers.delete(rowKey(row))
    this.#removeSource(row)
    this.#listen()
  }

  counts(row: number): KernelCounts {
    const bytes = this.#maps.counts.get(rowKey(row)) ?? new Uint8Array(0)
    const view = new DataView(bytes.buffer)
    const sum = (field: number) => {
      let total = 0
      for (let at = field; at < bytes.length; at += COUNTS.valueBytes)
        total += Number(view.getBigUint64(at, true))
      return total
    }
    return {
      outFrames: sum(COUNTS.outFrames),
      outBytes: sum(COUNTS.outBytes),
      inFrames: sum(COUNTS.inFrames),
      inBytes: sum(COUNTS.inBytes),
      notAllowed: sum(COUNTS.notAllowed),
      filtered: sum(COUNTS.filtered),
      congested: sum(COUNTS.congested),
    }
  }

  news(): readonly KernelNews[] {
    const all: KernelNews[] = []
    for (let it = this.#maps.news.shift(); it !== undefined; it = this.#maps.news.shift()) {
      const row = new DataView(it.buffer).getUint16(NEWS.row, true)
      all.push({ mac: it.slice(0, 6), row: row & ~NEWS_PROBE, probe: (row & NEWS_PROBE) !== 0 })
    }
    return all
  }

  probe(row: number, token: Uint8Array): void {
    const { frame, packet } = probeFor(row, token)
    if (this.#options.mode === 'tun') {
      this.#sender.send(packet)
      return
    }
    this.setMac(token, DEVICE, {})
    this.#sender.send(frame)
    this.removeMac(token)
  }

  close(): void {
    this.carry(false)
    this.#ways.clear()
    this.#listen()
  }

  #prefixes(address: ArrayLike<number>): BpfMap {
    return address.length === 4 ? this.#maps.prefixes4 : this.#maps.prefixes6
  }

  #removeSource(row: number): void {
    const way = this.#ways.get(row)
    if (way === undefined) return
    this.#ways.delete(row)
    const key = sourceKey(way)
    const value = this.#maps.sources.get(key)
    // Another peer may be there by now.
    if (value !== undefined && rowOfSource(value) === row) this.#maps.sources.delete(key)
  }

  /** Has the inbound program run where peers are, and nowhere else. */
  #listen(): void {
    const wanted = new Set([...this.#ways.values()].map(({ ifindex }) => ifindex))
    for (const ifindex of wanted)
      if (!this.#underlays.has(ifindex))
        this.#underlays.set(ifindex, this.#inbound.attach(ifindex, BPF_TCX_INGRESS))
    for (const [ifindex, link] of this.#underlays) {
      if (wanted.has(ifindex)) continue
      close(link)
      this.#underlays.delete(ifindex)
    }
  }

  #isEthernet(ifindex: number): boolean {
    const mac = linkIfThere(this.#options.netlink, ifindex)?.mac
    return mac !== undefined && !/^(00:?)+$/.test(mac)
  }
}

/** Whether a map has taken something. @param full the error if it is full */
function hadRoom(full: number, set: () => void): boolean {
  try {
    set()
    return true
  } catch (error) {
    if (error instanceof KernelError && error.errno === full) return false
    throw error
  }
}

/**
 * Whether somebody captures on an interface, or on all (packet(7), /proc/net/packet): a packet socket for all
 * protocols. Frames that a program sends elsewhere are seen by no such socket.
 */
function isCaptured(ifindex: number): boolean {
  const [, ...lines] = readFileSync('/proc/net/packet', 'latin1').trim().split('\n')
  return lines.some((line) => {
    const [, , , protocol, index] = line.trim().split(/\s+/)
    return protocol === '0003' && (index === '0' || index === String(ifindex))
  })
}
