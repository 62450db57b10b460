import koffi from 'koffi'
import type { Test } from 'tap'
import { encapFor } from '../../src/encap/encap.js'
import {
  MSG_DONTWAIT,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_TCPV4,
} from '../../src/linux/constants.js'
import { close, recv, sendmmsg } from '../../src/linux/libc.js'
import { NativeMemory } from '../../src/linux/memory.js'
import { encodeSockaddr, sockaddrLength } from '../../src/linux/sockaddr.js'
import { iovec, mmsghdr, msghdr, virtio_net_hdr } from '../../src/linux/structs.js'
import { openUdp } from '../../src/linux/udp.js'
import { COUNTERS } from '../../src/memory/counters.js'
import { Drops } from '../../src/memory/drops.js'
import { OFFLOADS, Offloads } from '../../src/memory/offloads.js'
import { PathLimits } from '../../src/memory/path-limits.js'
import { P, PEER_STRIDE, peerCounterBlock } from '../../src/memory/peer-counters.js'
import { PeerTable } from '../../src/memory/peer-table.js'
import { planMemory } from '../../src/memory/plan.js'
import { framesOffset, Records } from '../../src/memory/record.js'
import { Ring } from '../../src/memory/ring.js'
import { StateWords } from '../../src/memory/state-words.js'
import { DEVICE, FLOOD } from '../../src/memory/target.js'
import { byteOperations } from '../../src/offload/bytes.js'
import { ECN_MASK } from '../../src/wire/ecn.js'
import { PathPolicy } from '../../src/worker/outbound/path-policy.js'
import { UdpSink } from '../../src/worker/outbound/udp-sink.js'
import { Scratch } from '../../src/worker/scratch.js'
import type { Forwarding } from '../../src/worker/switching/forwarding.js'
import { framesOf, PLAIN_FLOW, superFrameOf } from './frames.js'

const PEER_ROWS = 256
/** So short that a super-frame has more segments than one message may have. */
const GSO_SIZE = 600

/** A call of sendmmsg(2). */
export interface Asked {
  /** Number of calls before it. */
  readonly nth: number
  readonly count: number
  /** The number of the socket. */
  readonly socket: number
  /** Whether the kernel must cut the message (`UDP_SEGMENT`). */
  isRun(message: number): boolean
  isFor(message: number, row: number): boolean
  /** Bytes of its first datagram, if each frame has two pieces, as those of a super-frame do. */
  bytesOf(message: number): number
}

/** How many of the messages the real call gets. A negative errno instead makes the call fail with it. */
export type Kernel = (asked: Asked) => number

export interface SinkOptions {
  readonly peers: number
  /** Replaces the kernel's answer. By default the real call gets all messages. */
  readonly kernel?: Kernel
  /** The target of all frames. By default they go to all peers. */
  readonly target?: number
  /** So many sockets send frames of different flows; none: the one that is there anyway. */
  readonly flowSockets?: number
}

export type Made = ReturnType<typeof makeSink>

/** Makes a sink with peers that are addresses of this machine, and one socket that receives for all of them. */
export function makeSink(t: Test, options: SinkOptions) {
  const { peers, kernel = ({ count }) => count, target = FLOOD, flowSockets = 0 } = options
  // A power of two.
  const plan = planMemory(Math.max(PEER_ROWS, 2 ** Math.ceil(Math.log2(peers))))
  const memory = NativeMemory.allocate(plan.bytes)
  const buffers = { receiveBufferBytes: 1 << 23, sendBufferBytes: 1 << 23 }
  const from = openUdp({ listen: { address: '127.0.0.1', port: 0 }, ...buffers })
  const to = openUdp({ listen: { address: undefined, port: 0 }, ...buffers })
  const flows = Array.from({ length: flowSockets }, () =>
    openUdp({ listen: { address: '127.0.0.1', port: 0 }, ...buffers }),
  )
  const fds = [from, ...flows].map(({ fd }) => fd)
  t.teardown(() => [...fds, to.fd].map((fd) => close(fd)))
  const table = new PeerTable(memory, plan.peers, plan.peerRows)
  for (let row = 0; row < peers; row++) {
    const address = `127.0.${1 + (row >> 7)}.${1 + (row & 127)}`
    table.setAddress(row, encodeSockaddr(from.family, { address, port: to.local.port }))
  }
  const offloads = new Offloads(memory, plan.offloads)
  for (const offload of OFFLOADS) offloads.set(offload, true)
  const base = Number(memory.address(0) & 0xffffffffn)
  let calls = 0
  const between: typeof sendmmsg = (fd, vector, count, flags) => {
    const at = Number((vector as bigint) - memory.address(0))
    const word = (message: number, field: number) => memory.u32[(at + message * mmsghdr.size + field) >>> 2]
    const letThrough = kernel({
      nth: calls++,
      count,
      socket: fds.indexOf(fd),
      bytesOf: (message) => {
        const iov = (word(message, msghdr.msg_iov) - base) >>> 0
        const pieces = Math.min(word(message, msghdr.msg_iovlen), 2)
        const lengths = Array.from(
          { length: pieces },
          (_, i) => memory.u32[(iov + i * iovec.size + iovec.iov_len) >>> 2],
        )
        return lengths.reduce((all, bytes) => all + bytes, 0)
      },
      isRun: (message) => word(message, msghdr.msg_controllen) !== 0,
      isFor: (message, row) =>
        word(message, msghdr.msg_name) === Number(memory.address(table.address(row)) & 0xffffffffn),
    })
    if (letThrough > 0) return sendmmsg(fd, vector, Math.min(letThrough, count), flags)
    koffi.errno(-letThrough)
    return -1
  }
  const forwarding: Forwarding = { begin() {}, fromDevice: () => target, fromPeer: () => DEVICE }
  const peerCounters = peerCounterBlock(memory, plan.tap.peerCounters, plan.peerRows)
  const counters = new Float64Array(COUNTERS.length)
  const scratch = new Scratch(memory, plan.tap.scratch)
  const bytes = byteOperations(memory)
  const drops = new Drops(counters, peerCounters)
  const common = {
    encap: encapFor('tap', false),
    dsMask: ECN_MASK,
    sockaddrBytes: sockaddrLength(from.family),
    words: new StateWords(memory, plan.state),
    drops,
  }
  const limits = new PathLimits(memory, plan.pathLimits)
  const pathPolicy = new PathPolicy({ ...common, limits, tapFd: -1 }, scratch, bytes, counters)
  const sending = { ...common, fds, peers: table, peerCounters, offloads, pathPolicy, forwarding }
  const sink = new UdpSink({ ...sending, sendmmsg: between }, scratch, bytes, counters)
  const ring = new Ring(memory, plan.inbound.at, plan.inbound.dataBytes)
  const droppedFor = (row: number) => peerCounters[row * PEER_STRIDE + P.droppedOutbound]
  const sentTo = (row: number) => peerCounters[row * PEER_STRIDE + P.sentFrames]
  const said = { counters, droppedFor, sentTo, calls: () => calls }
  return { memory, sink, ring, table, limits, fds, family: from.family, to: to.fd, ...said }
}

/** Puts frames into the ring as one record. With `l4`, these are super-frames of {@link PLAIN_FLOW}. */
export function put({ memory, ring }: Made, all: readonly Uint8Array[], l4 = 0): void {
  const record = ring.reserve(ring.maxRecordBytes)
  if (record < 0) throw new Error('the ring takes one record at a time')
  const records = new Records(memory)
  let at = record + framesOffset(64)
  for (const [index, bytes] of all.entries()) {
    const frame = at + virtio_net_hdr.size
    memory.u8.fill(0, at, frame)
    memory.u8.set(bytes, frame)
    if (l4 !== 0) {
      memory.u8[at + virtio_net_hdr.flags] = VIRTIO_NET_HDR_F_NEEDS_CSUM
      memory.u8[at + virtio_net_hdr.gso_type] = VIRTIO_NET_HDR_GSO_TCPV4
      memory.view.setUint16(at + virtio_net_hdr.gso_size, GSO_SIZE, true)
      memory.view.setUint16(at + virtio_net_hdr.csum_start, l4, true)
    }
    records.setEntry(record, index, frame, bytes.length, l4 === 0 ? 0 : GSO_SIZE, 0)
    at = (frame + bytes.length + 63) & -64
  }
  records.setCount(record, all.length)
  ring.commit(at - record)
}

/**
 * A super-frame of `segments` segments (the last is shorter), and the frames that it stands for.
 * @param id the IPv4 ID of the first frame
 */
export function superFrame(segments: number, id = PLAIN_FLOW.id) {
  const pieces = Array.from({ length: segments }, (_, index) => ({
    payload: new Uint8Array(index === segments - 1 ? GSO_SIZE / 2 : GSO_SIZE).fill(index),
    flags: 0x10,
  }))
  const { bytes, l4 } = superFrameOf({ ...PLAIN_FLOW, id }, pieces)
  return { bytes, l4, frames: framesOf({ ...PLAIN_FLOW, id }, pieces) }
}

export const single = (number: number) => new Uint8Array(100).fill(number)

/** What arrived, as base64 text, in its order. */
export function received(fd: number): string[] {
  const all: string[] = []
  for (const buffer = new Uint8Array(65_536); ; ) {
    const bytes = recv(fd, buffer, buffer.length, MSG_DONTWAIT)
    if (bytes < 0) return all
    all.push(textOf(buffer.subarray(0, bytes)))
  }
}

export const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
