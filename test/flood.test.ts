import koffi from 'koffi'
import t, { type Test } from 'tap'
import { C, COUNTERS } from '../src/forward/counters.js'
import type { Forwarding } from '../src/forward/forwarding.js'
import { OFFLOADS, Offloads } from '../src/forward/offloads.js'
import { Passage } from '../src/forward/passage.js'
import { PathLimits } from '../src/forward/path-limits.js'
import { P, PEER_STRIDE, peerCounterBlock } from '../src/forward/peer-counters.js'
import { PeerTable } from '../src/forward/peers.js'
import { planMemory } from '../src/forward/plan.js'
import { framesOffset, KIND_RUN, Records } from '../src/forward/record.js'
import { Ring } from '../src/forward/ring.js'
import { Scratch } from '../src/forward/scratch.js'
import { DEVICE, FLOOD } from '../src/forward/target.js'
import { UdpSink } from '../src/forward/udp-sink.js'
import { MSG_DONTWAIT, VIRTIO_NET_HDR_GSO_TCPV4 } from '../src/linux/constants.js'
import { ENETUNREACH, EPERM } from '../src/linux/errno.js'
import { close, recv, sendmmsg } from '../src/linux/libc.js'
import { NativeMemory } from '../src/linux/memory.js'
import { encodeSockaddr, sockaddrLength } from '../src/linux/sockaddr.js'
import { mmsghdr, msghdr, virtio_net_hdr } from '../src/linux/structs.js'
import { openUdp } from '../src/linux/udp.js'
import { byteOperations } from '../src/offload/bytes.js'
import { framesOf, headerBytes, PLAIN_FLOW, superFrameOf } from './frames.js'

const PEER_ROWS = 256
/** So short that a super-frame has more segments than one message may. */
const GSO_SIZE = 600

interface Options {
  readonly peers: number
  /** What the kernel is made to say to messages for this peer. */
  readonly refused?: { readonly peer: number; readonly errno: number }
  /** Where everything goes; to all without. */
  readonly target?: number
}

/** A sink whose peers are addresses of this machine, and one socket that hears for all of them. */
function make(t: Test, { peers, refused, target = FLOOD }: Options) {
  const plan = planMemory(PEER_ROWS)
  const memory = NativeMemory.allocate(plan.bytes)
  const buffers = { receiveBufferBytes: 1 << 23, sendBufferBytes: 1 << 23 }
  const from = openUdp({ listen: { address: '127.0.0.1', port: 0 }, ...buffers })
  const to = openUdp({ listen: { address: undefined, port: 0 }, ...buffers })
  t.teardown(() => [from.fd, to.fd].map((fd) => close(fd)))
  const table = new PeerTable(memory, plan.peers, plan.peerRows)
  for (let peer = 0; peer < peers; peer++) {
    const address = `127.0.${1 + (peer >> 7)}.${1 + (peer & 127)}`
    table.setAddress(peer, encodeSockaddr(from.family, { address, port: to.local.port }))
  }
  const offloads = new Offloads(memory, plan.offloads)
  for (const offload of OFFLOADS) offloads.set(offload, true)
  let calls = 0
  /** The real one, but for messages to the peer that is refused. */
  const counted: typeof sendmmsg = (fd, vector, count, flags) => {
    calls++
    if (refused === undefined) return sendmmsg(fd, vector, count, flags)
    const at = Number((vector as bigint) - memory.address(0))
    const bad = Number(memory.address(table.address(refused.peer)) & 0xffffffffn)
    let good = 0
    while (good < count && memory.u32[(at + good * mmsghdr.size + msghdr.msg_name) >>> 2] !== bad) good++
    if (good > 0) return sendmmsg(fd, vector, good, flags)
    koffi.errno(refused.errno)
    return -1
  }
  const forwarding: Forwarding = { begin() {}, fromDevice: () => target, fromPeer: () => DEVICE }
  const peerCounters = peerCounterBlock(memory, plan.tap.peerCounters, plan.peerRows)
  const counters = new Float64Array(COUNTERS.length)
  const scratch = new Scratch(memory, plan.tap.scratch)
  const bytes = byteOperations(memory)
  const common = { l2Bytes: 14, sockaddrBytes: sockaddrLength(from.family), state: plan.state }
  const limits = new PathLimits(memory, plan.pathLimits)
  const passage = new Passage({ ...common, limits, udpFd: from.fd, tapFd: -1 }, scratch, bytes, counters)
  const sending = { ...common, fd: from.fd, peers: table, peerCounters, offloads, passage, forwarding }
  const sink = new UdpSink({ ...sending, sendmmsg: counted }, scratch, bytes, counters)
  const ring = new Ring(memory, plan.inbound.at, plan.inbound.dataBytes)
  const droppedFor = (peer: number) => peerCounters[peer * PEER_STRIDE + P.droppedOutbound]
  const sentTo = (peer: number) => peerCounters[peer * PEER_STRIDE + P.sentFrames]
  return { memory, sink, ring, counters, droppedFor, sentTo, table, to: to.fd, calls: () => calls }
}

/** Puts frames, or super-frames of {@link PLAIN_FLOW}, into the ring as one record. */
function put({ memory, ring }: ReturnType<typeof make>, all: readonly Uint8Array[], l4 = 0): void {
  const record = ring.reserve(ring.maxRecordBytes)
  const records = new Records(memory)
  let at = record + framesOffset(64)
  for (const [index, bytes] of all.entries()) {
    const frame = at + virtio_net_hdr.size
    memory.u8.fill(0, at, frame)
    memory.u8.set(bytes, frame)
    if (l4 !== 0) {
      memory.u8[at + virtio_net_hdr.gso_type] = VIRTIO_NET_HDR_GSO_TCPV4
      memory.view.setUint16(at + virtio_net_hdr.gso_size, GSO_SIZE, true)
      memory.view.setUint16(at + virtio_net_hdr.csum_start, l4, true)
    }
    records.setEntry(record, index, frame, bytes.length, l4 === 0 ? 0 : GSO_SIZE, 0)
    at = (frame + bytes.length + 63) & -64
  }
  records.setCount(record, all.length)
  ring.commit(at - record, KIND_RUN)
}

/** What came, each content with how often. */
function received(fd: number): Map<string, number> {
  const counts = new Map<string, number>()
  for (const buffer = new Uint8Array(65_536); ; ) {
    const bytes = recv(fd, buffer, buffer.length, MSG_DONTWAIT)
    if (bytes < 0) return counts
    const text = Buffer.from(buffer.subarray(0, bytes)).toString('base64')
    counts.set(text, (counts.get(text) ?? 0) + 1)
  }
}

const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
const timesEach = (all: readonly Uint8Array[], times: number) =>
  new Map(all.map((bytes) => [textOf(bytes), times]))
const single = (number: number) => new Uint8Array(100).fill(number)

for (const peers of [2, 20, 256]) {
  t.test(`a broadcast to ${peers} peers is one call, and each gets it once`, async (t) => {
    const made = make(t, { peers })
    const frames = [single(2), single(4), single(6)].slice(0, peers === 256 ? 1 : 3)
    put(made, frames)
    made.sink.drain(made.ring)
    t.equal(made.calls(), 1)
    t.same(received(made.to), timesEach(frames, peers))
    t.equal(made.counters[C.sentFrames], frames.length * peers)
    for (let peer = 0; peer < peers; peer++)
      if (made.sentTo(peer) !== frames.length) t.fail(`${made.sentTo(peer)} to peer ${peer}`)
  })
}

/** A super-frame of so many segments, and the frames it stands for. */
function superFrame(segments: number) {
  const pieces = Array.from({ length: segments }, (_, index) => ({
    payload: new Uint8Array(index === segments - 1 ? GSO_SIZE / 2 : GSO_SIZE).fill(index),
    flags: 0x10,
  }))
  const { bytes, l4 } = superFrameOf(PLAIN_FLOW, pieces)
  return { bytes, l4, frames: framesOf(PLAIN_FLOW, pieces) }
}

t.test('a super-frame to all is cut once, and each gets all of its frames', async (t) => {
  t.ok(headerBytes(PLAIN_FLOW) > 0)
  for (const [peers, segments] of [
    [3, 100],
    [20, 70],
    [256, 8],
  ]) {
    const made = make(t, { peers })
    const { bytes, l4, frames } = superFrame(segments)
    put(made, [bytes], l4)
    made.sink.drain(made.ring)
    t.equal(made.calls(), 1)
    t.same(received(made.to), timesEach(frames, peers), `${segments} segments to ${peers} peers`)
    t.equal(made.counters[C.sentFrames], segments * peers)
  }
})

t.test('many super-frames to very many are sent in parts, and none is lost or twice there', async (t) => {
  const peers = 200
  const made = make(t, { peers })
  const total = new Map<string, number>()
  const { bytes, l4, frames } = superFrame(20)
  put(made, [bytes, bytes, bytes, bytes, bytes], l4)
  made.sink.drain(made.ring)
  for (const [text, count] of received(made.to)) total.set(text, (total.get(text) ?? 0) + count)
  const sent = made.counters[C.sentFrames]
  t.equal(sent, frames.length * 5 * peers)
  t.ok(made.calls() > 1 && made.calls() < 10, `${made.calls()} calls`)
  const known = new Set(frames.map(textOf))
  t.ok([...total].every(([text, count]) => known.has(text) && count <= 5 * peers))
})

for (const errno of [ENETUNREACH, EPERM]) {
  t.test(`a peer that cannot be sent to costs the others nothing (errno ${errno})`, async (t) => {
    const peers = 20
    const made = make(t, { peers, refused: { peer: 7, errno } })
    const { bytes, l4, frames } = superFrame(100)
    put(made, [bytes], l4)
    made.sink.drain(made.ring)
    t.same(received(made.to), timesEach(frames, peers - 1), 'the others get everything')
    t.equal(made.droppedFor(7), frames.length, 'it is counted against the one')
    for (const peer of [6, 8, 19]) t.same([made.droppedFor(peer), made.sentTo(peer)], [0, frames.length])
    t.ok(made.calls() <= 4, `${made.calls()} calls`)
  })
}

t.test('to one peer alone; one that has no address any more is everywhere, or nowhere', async (t) => {
  const made = make(t, { peers: 5, target: 3 })
  put(made, [single(1), single(1)])
  made.sink.drain(made.ring)
  t.same([0, 1, 2, 3, 4].map(made.sentTo), [0, 0, 0, 2, 0])
  made.table.clear(3)
  put(made, [single(1)])
  made.sink.drain(made.ring)
  t.same([0, 1, 2, 3, 4].map(made.sentTo), [1, 1, 1, 2, 1])
  for (const peer of [0, 1, 2, 4]) made.table.clear(peer)
  put(made, [single(1)])
  made.sink.drain(made.ring)
  t.equal(made.counters[C.dropUnreachable], 1)
})
