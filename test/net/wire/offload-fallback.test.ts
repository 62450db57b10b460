import koffi from 'koffi'
import { pino } from 'pino'
import t from 'tap'
import { OffloadWatch } from '../../../src/control/offload.js'
import { encapFor } from '../../../src/encap/encap.js'
import { Host } from '../../../src/lab/host.js'
import { MSG_DONTWAIT, TUN_F_USO4 } from '../../../src/linux/constants.js'
import { EINVAL, EIO } from '../../../src/linux/errno.js'
import { getLink } from '../../../src/linux/interface.js'
import { close, ioctl, recv, sendmmsg, writev } from '../../../src/linux/libc.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import { encodeSockaddr, sockaddrLength } from '../../../src/linux/sockaddr.js'
import { iovec, mmsghdr, msghdr, virtio_net_hdr } from '../../../src/linux/structs.js'
import { openTap, setDeviceOffloads } from '../../../src/linux/tap.js'
import { enableGro, openUdp, type UdpSocket } from '../../../src/linux/udp.js'
import { C, COUNTERS } from '../../../src/memory/counters.js'
import { Drops } from '../../../src/memory/drops.js'
import { Mailbox } from '../../../src/memory/mailbox.js'
import { OFFLOADS, Offloads } from '../../../src/memory/offloads.js'
import { PathLimits } from '../../../src/memory/path-limits.js'
import { peerCounterBlock } from '../../../src/memory/peer-counters.js'
import { PeerTable } from '../../../src/memory/peer-table.js'
import { planMemory } from '../../../src/memory/plan.js'
import { framesOffset, Records } from '../../../src/memory/record.js'
import { Ring } from '../../../src/memory/ring.js'
import { StateWords } from '../../../src/memory/state-words.js'
import { DEVICE } from '../../../src/memory/target.js'
import { byteOperations } from '../../../src/offload/bytes.js'
import { TapSink } from '../../../src/worker/inbound/tap-sink.js'
import { PathPolicy } from '../../../src/worker/outbound/path-policy.js'
import { UdpSink } from '../../../src/worker/outbound/udp-sink.js'
import { Scratch } from '../../../src/worker/scratch.js'
import type { Forwarding } from '../../../src/worker/switching/forwarding.js'
import { framesOf, PLAIN_FLOW } from '../../support/frames.js'

const ENCAP = encapFor('tap', false)

/** The workers' memory, a ring to drain, and counters, all in this thread. */
function bench() {
  const plan = planMemory(2)
  const memory = NativeMemory.allocate(plan.bytes)
  const offloads = new Offloads(memory, plan.offloads)
  for (const offload of OFFLOADS) offloads.set(offload, true)
  const counters = new Float64Array(COUNTERS.length)
  const peerCounters = peerCounterBlock(memory, plan.tap.peerCounters, plan.peerRows)
  const drops = new Drops(counters, peerCounters)
  return {
    memory,
    offloads,
    counters,
    peers: new PeerTable(memory, plan.peers, plan.peerRows),
    peerCounters,
    drops,
    toMain: {
      peers: new PeerTable(memory, plan.peers, plan.peerRows),
      control: new Mailbox(memory, plan.control, plan.state),
      tellMain: () => {},
      peerCounters,
      drops,
      forwarding: STRAIGHT,
      relay: undefined,
      words: new StateWords(memory, plan.state),
    },
    plan,
    scratch: new Scratch(memory, plan.tap.scratch),
    bytes: byteOperations(memory),
    ring: new Ring(memory, plan.inbound.at, plan.inbound.dataBytes),
  }
}

/** Everything goes across: these frames have no addresses to speak of. */
const STRAIGHT: Forwarding = { begin() {}, fromDevice: () => 0, fromPeer: () => DEVICE }

type Bench = ReturnType<typeof bench>

/** What a sink to the socket needs beside. */
function udpOptions(made: Bench, { fd, family }: UdpSocket) {
  const { plan, memory, peers, peerCounters, offloads, scratch, bytes, counters, drops } = made
  const limits = new PathLimits(memory, plan.pathLimits)
  const common = {
    encap: ENCAP,
    dsMask: 3,
    sockaddrBytes: sockaddrLength(family),
    words: new StateWords(memory, plan.state),
    drops,
  }
  const pathPolicy = new PathPolicy({ ...common, limits, tapFd: -1 }, scratch, bytes, counters)
  return { ...common, fds: [fd], peers, peerCounters, offloads, pathPolicy, forwarding: STRAIGHT }
}

/** Puts frames into the ring as one record, each with an empty `virtio_net_hdr` before it. */
function put({ memory, ring }: Bench, frames: readonly Uint8Array[]): void {
  const record = ring.reserve(ring.maxRecordBytes)
  const records = new Records(memory)
  let at = record + framesOffset(64)
  frames.forEach((frame, index) => {
    memory.u8.fill(0, at, at + virtio_net_hdr.size)
    memory.u8.set(frame, at + virtio_net_hdr.size)
    records.setEntry(record, index, at + virtio_net_hdr.size, frame.length, 0, 0)
    at = (at + virtio_net_hdr.size + frame.length + 63) & -64
  })
  records.setCount(record, frames.length)
  ring.commit(at - record)
}

function udpPair(host: Host) {
  const open = (port: number) =>
    openUdp({ listen: { address: undefined, port }, receiveBufferBytes: 1 << 20, sendBufferBytes: 1 << 20 })
  return host.run(() => ({ from: open(7001), to: open(7002) }))
}

function received(fd: number): Uint8Array[] {
  const frames: Uint8Array[] = []
  for (;;) {
    const buffer = new Uint8Array(65_536)
    const bytes = recv(fd, buffer, buffer.length, MSG_DONTWAIT)
    if (bytes < 0) return frames
    frames.push(buffer.slice(0, bytes))
  }
}

const frames = (count: number, bytes: number) =>
  Array.from({ length: count }, (_, index) => new Uint8Array(bytes).fill(index + 1))

/** The real sendmmsg, but for messages that ask for segmentation. */
function refusingSegments(memory: NativeMemory, errno: number, calls: { count: number }): typeof sendmmsg {
  return (fd, vector, count, flags) => {
    const at = Number((vector as bigint) - memory.address(0))
    let taken = 0
    while (taken < count && memory.u32[(at + taken * mmsghdr.size + msghdr.msg_controllen) >>> 2] === 0)
      taken++
    if (taken > 0) return sendmmsg(fd, vector, taken, flags)
    calls.count++
    koffi.errno(errno)
    return -1
  }
}

t.test('UDP_SEGMENT refused: nothing is lost, and it is not asked for again', async (t) => {
  using host = new Host('lo')
  for (const errno of [EIO, EINVAL]) {
    const made = bench()
    const { from, to } = udpPair(host)
    for (const peer of [0, 1])
      made.peers.setAddress(peer, encodeSockaddr(from.family, { address: '127.0.0.1', port: 7002 }))
    const calls = { count: 0 }
    const options = udpOptions(made, from)
    let target = 0
    const forwarding = { ...STRAIGHT, fromDevice: () => target }
    const sink = new UdpSink(
      { ...options, forwarding, sendmmsg: refusingSegments(made.memory, errno, calls) },
      made.scratch,
      made.bytes,
      made.counters,
    )
    const sent = frames(10, 500)
    put(made, sent)
    sink.drain(made.ring)
    t.same(received(to.fd), sent, 'the frames in hand arrive')
    t.equal(options.pathPolicy.takesRuns(0), false, 'it is off')
    t.equal(options.pathPolicy.takesRuns(1), true, 'for that peer')
    const asked = calls.count
    put(made, sent)
    sink.drain(made.ring)
    t.same(received(to.fd), sent, 'those after arrive')
    t.equal(calls.count, asked, 'without asking again')
    t.equal(made.counters[C.sentFrames], 20)
    t.equal(made.counters[C.sentBytes], 20 * 500)
    target = 1
    put(made, sent)
    sink.drain(made.ring)
    t.same(received(to.fd), sent)
    t.ok(calls.count > asked, 'another peer is another way')
    t.equal(options.pathPolicy.takesRuns(1), false)
    close(from.fd)
    close(to.fd)
  }
})

t.test('a run too long for its interface is no missing offload', async (t) => {
  using host = new Host('lo')
  host.configure('lo', [], { mtuBytes: 1500 })
  const made = bench()
  const { from, to } = udpPair(host)
  made.peers.setAddress(0, encodeSockaddr(from.family, { address: '127.0.0.1', port: 7002 }))
  const options = udpOptions(made, from)
  const sink = new UdpSink(options, made.scratch, made.bytes, made.counters)
  put(made, frames(10, 1473))
  sink.drain(made.ring)
  t.equal(made.counters[C.dropTooBig], 10, 'each is dropped for its length')
  t.equal(options.pathPolicy.takesRuns(0), true, 'the offload stays on')
  const fitting = frames(10, 1472)
  put(made, fitting)
  sink.drain(made.ring)
  t.same(received(to.fd), fitting, 'what fits is sent')
  t.equal(made.counters[C.syscalls] > 0 && made.counters[C.sentFrames], 10)
  close(from.fd)
  close(to.fd)
})

t.test('a super-frame refused by the device ends joining for its protocol alone', async (t) => {
  using host = new Host('tap')
  const device = host.run(() => openTap('tap', 'tap0'))
  host.configure('tap0', ['10.9.0.4/24'])
  const made = bench()
  setDeviceOffloads(device.fd, true)
  let refused = 0
  const refusing: typeof writev = (fd, vector, count) => {
    if (count <= 2) return writev(fd, vector, count)
    refused++
    koffi.errno(EINVAL)
    return -1
  }
  const { offloads } = made
  const sink = new TapSink(
    { ...made.toMain, fd: device.fd, encap: ENCAP, offloads, writev: refusing },
    made.scratch,
    made.bytes,
    made.counters,
  )
  const run = (protocol: 'tcp' | 'udp') =>
    framesOf(
      { ...PLAIN_FLOW, protocol },
      frames(4, 100).map((payload) => ({ payload, flags: protocol === 'tcp' ? 0x10 : 0 })),
    )
  put(made, [...run('udp'), ...run('tcp')])
  sink.drain(made.ring)
  t.equal(offloads.isOn('device_uso'), false)
  t.equal(offloads.isOn('device_tso'), false)
  t.equal(refused, 2, 'each was tried once')
  t.equal(made.counters[C.dropDeviceRefused], 8, 'what was in hand is lost, and counted')
  put(made, [...run('udp'), ...run('tcp')])
  sink.drain(made.ring)
  t.equal(refused, 2, 'and not again')
  t.equal(made.counters[C.writtenFrames], 8, 'frames go one by one')
  close(device.fd)
})

t.test('what comes behind a super-frame that the device refuses keeps its order', async (t) => {
  using host = new Host('tap')
  const device = host.run(() => openTap('tap', 'tap0'))
  host.configure('tap0', ['10.9.0.4/24'])
  setDeviceOffloads(device.fd, true)
  const tcp = (port: number) =>
    framesOf(
      { ...PLAIN_FLOW, ports: [port, 2000] },
      frames(3, 100).map((payload) => ({ payload, flags: 0x10 })),
    )
  // The first flow is refused when a frame of the second is in hand.
  const all = [...tcp(1000), ...tcp(1001), ...tcp(1002)]
  const made = bench()
  const written: Uint8Array[] = []
  const refusing: typeof writev = (fd, vector, count) => {
    if (count > 2) {
      koffi.errno(EINVAL)
      return -1
    }
    const { memory } = made
    const base = Number(memory.address(0) & 0xffffffffn)
    const iov = Number((vector as bigint) - memory.address(0)) + iovec.size
    const at = (memory.u32[(iov + iovec.iov_base) >>> 2] - base) >>> 0
    written.push(memory.u8.slice(at, at + memory.u32[(iov + iovec.iov_len) >>> 2]))
    return writev(fd, vector, count)
  }
  const { offloads } = made
  const sink = new TapSink(
    { ...made.toMain, fd: device.fd, encap: ENCAP, offloads, writev: refusing },
    made.scratch,
    made.bytes,
    made.counters,
  )
  put(made, all)
  sink.drain(made.ring)
  t.same(written, all.slice(3))
  t.equal(made.counters[C.dropDeviceRefused], 3)
  close(device.fd)
})

t.test('the device takes what is joined', async (t) => {
  using host = new Host('tap')
  const device = host.run(() => openTap('tap', 'tap0'))
  host.configure('tap0', ['10.9.0.4/24'])
  const made = bench()
  t.same(setDeviceOffloads(device.fd, true), { tso: true, uso: true })
  const sink = new TapSink(
    { ...made.toMain, fd: device.fd, encap: ENCAP, offloads: made.offloads },
    made.scratch,
    made.bytes,
    made.counters,
  )
  for (const protocol of ['tcp', 'udp'] as const) {
    for (const ip of [4, 6] as const) {
      put(
        made,
        framesOf(
          { ...PLAIN_FLOW, protocol, ip },
          frames(4, 100).map((payload) => ({ payload, flags: protocol === 'tcp' ? 0x10 : 0 })),
        ),
      )
      sink.drain(made.ring)
    }
  }
  t.equal(made.counters[C.superFramesWritten], 4)
  t.equal(made.counters[C.writtenFrames], 16)
  t.equal(host.netlink((netlink) => getLink(netlink, 'tap0')).statistics.rxErrors, 0)
  close(device.fd)
})

t.test('TUNSETOFFLOAD is tried downwards, UDP_GRO once', async (t) => {
  using host = new Host('tap')
  const device = host.run(() => openTap('tap', 'tap0'))
  const without =
    (flags: number): typeof ioctl =>
    (fd, request, arg) => {
      if ((Number(arg) & flags) === 0) return ioctl(fd, request, arg)
      koffi.errno(EINVAL)
      return -1
    }
  t.same(setDeviceOffloads(device.fd, true, without(TUN_F_USO4)), { tso: true, uso: false })
  t.same(setDeviceOffloads(device.fd, true, without(0xff)), { tso: false, uso: false })
  t.same(setDeviceOffloads(device.fd, false), { tso: false, uso: false })
  t.equal(enableGro(device.fd), false, 'an fd that is no UDP socket')
  close(device.fd)
})

t.test('each refusal is said once', async (t) => {
  const { offloads } = bench()
  const said: string[] = []
  const log = pino({ base: null }, { write: (line: string) => said.push(JSON.parse(line).msg) })
  const watch = new OffloadWatch(offloads, true, log)
  watch.look()
  t.same(said, [])
  offloads.set('udp_segment', false)
  watch.look()
  watch.look()
  t.equal(said.length, 1)
  t.match(said[0], /UDP_SEGMENT/)
})
