import fc from 'fast-check'
import t from 'tap'
import {
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
  VIRTIO_NET_HDR_GSO_UDP_L4,
} from '../../../src/linux/constants.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import { iovec, virtio_net_hdr } from '../../../src/linux/structs.js'
import { byteOperations, scalarOperations, wasmOperations } from '../../../src/offload/bytes.js'
import { Joiner, type JoinTarget } from '../../../src/offload/join.js'
import { l3Offset } from '../../../src/offload/parse.js'
import { MAX_HEADER_BYTES, Segmenter } from '../../../src/offload/segment.js'
import {
  type Flow,
  framesOf,
  headerBytes,
  type Piece,
  PLAIN_FLOW,
  superFrameOf,
} from '../../support/frames.js'
import { piecesOf, run, TCP_PLAIN, TCP_PUSHED, zeroSum } from '../../support/runs.js'

const memory = NativeMemory.allocate(8 * 1024 * 1024)
const bytes = byteOperations(memory)

/** Where things lie in the memory of these tests. */
const INPUT = 64 * 1024
const OUTPUT = 4 * 1024 * 1024
const JOINER = 6 * 1024 * 1024

const CWR = 0x80
const FIN = 0x01

function gsoType({ protocol, ip }: Flow): number {
  if (protocol === 'udp') return VIRTIO_NET_HDR_GSO_UDP_L4
  return ip === 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6
}

function read(at: number, length: number): Uint8Array {
  return memory.u8.slice(at, at + length)
}

/** Cuts a super-frame that lies in the memory; undefined where the segmenter refuses. */
function segment(
  at: number,
  length: number,
  l3: number,
  l4: number,
  type: number,
  gsoSize: number,
  flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
) {
  const segmenter = new Segmenter(memory, bytes)
  const count = segmenter.begin(at, length, l3, l4, flags, type, gsoSize)
  if (count === 0) return undefined
  return Array.from({ length: count }, (_, index) => {
    segmenter.writeHeader(index, OUTPUT)
    const header = read(OUTPUT, segmenter.headerBytes)
    return Uint8Array.from([
      ...header,
      ...read(segmenter.payloadOffset(index), segmenter.payloadBytes(index)),
    ])
  })
}

interface Written {
  readonly frames: Uint8Array[]
  readonly super: boolean
}

/** What a joiner writes for these frames, super-frames cut again as the kernel would. */
function join(frames: readonly Uint8Array[], l2: number, joinsUdp = true): Written[] {
  const written: Written[] = []
  const target: JoinTarget = {
    writeFrame: (frame, length) => written.push({ frames: [read(frame, length)], super: false }),
    writeSuperFrame: (count, made) => {
      const pieces = Array.from({ length: count }, (_, i) => {
        const at = joiner.iovecs + i * iovec.size
        const offset = memory.view.getUint32(at, true) - Number(memory.address(0) & 0xffffffffn)
        return read(offset >>> 0, memory.view.getUint32(at + iovec.iov_len, true))
      })
      const whole = Uint8Array.from(pieces.flatMap((piece) => [...piece]))
      const hdr = new DataView(whole.buffer)
      if (whole[virtio_net_hdr.flags] !== VIRTIO_NET_HDR_F_NEEDS_CSUM)
        throw new Error('no checksum to complete')
      memory.u8.set(whole.subarray(virtio_net_hdr.size), OUTPUT + 65536)
      const cut = segment(
        OUTPUT + 65536,
        whole.length - virtio_net_hdr.size,
        l2,
        hdr.getUint16(virtio_net_hdr.csum_start, true),
        whole[virtio_net_hdr.gso_type],
        hdr.getUint16(virtio_net_hdr.gso_size, true),
      )
      if (cut === undefined || cut.length !== made) throw new Error('a super-frame that cannot be cut again')
      written.push({ frames: cut, super: true })
    },
  }
  const joiner = new Joiner(memory, bytes, JOINER, l2 === 0 ? 0 : 14, target)
  joiner.joinsUdp = joinsUdp
  let at = INPUT + 2
  for (const frame of frames) {
    memory.u8.set(frame, at)
    joiner.add(at, frame.length)
    at += frame.length
  }
  joiner.flush()
  return written
}

const hex = (frames: readonly Uint8Array[]) => frames.map((frame) => Buffer.from(frame).toString('hex'))

t.test('sums in WebAssembly and in JavaScript are equal', async (t) => {
  const simd = wasmOperations(memory)
  if (simd === undefined) throw new Error('this machine has no WebAssembly SIMD')
  const scalar = scalarOperations(memory)
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 5000 }),
      fc.nat(63),
      fc.nat(0xffffffff),
      (content, shift, seed) => {
        memory.u8.set(content, INPUT + shift)
        return (
          simd.sum(INPUT + shift, content.length, seed) === scalar.sum(INPUT + shift, content.length, seed)
        )
      },
    ),
    { numRuns: 500 },
  )
  memory.u8.fill(0xff, INPUT, INPUT + 65_536)
  t.equal(
    simd.sum(INPUT, 65_536, 0xffffffff),
    scalar.sum(INPUT, 65_536, 0xffffffff),
    'the largest sum there is',
  )
})

t.test('copies in WebAssembly and in JavaScript are equal', async () => {
  const simd = wasmOperations(memory)
  if (simd === undefined) throw new Error('this machine has no WebAssembly SIMD')
  const scalar = scalarOperations(memory)
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: MAX_HEADER_BYTES }),
      fc.nat(63),
      (content, shift) => {
        memory.u8.set(content, INPUT + shift)
        simd.copy(OUTPUT, INPUT + shift, content.length)
        scalar.copy(OUTPUT + 4096, INPUT + shift, content.length)
        return hex([read(OUTPUT, content.length)])[0] === hex([read(OUTPUT + 4096, content.length)])[0]
      },
    ),
  )
})

t.test('a super-frame is cut into exactly the frames it stands for', async () => {
  fc.assert(
    fc.property(run, fc.boolean(), fc.boolean(), (made, cwr, fin) => {
      const pieces = piecesOf(made)
      const tcp = made.flow.protocol === 'tcp'
      const last = pieces.length - 1
      const marked = pieces.map(({ payload, flags }, index) => ({
        payload,
        flags: flags | (tcp && cwr && index === 0 ? CWR : 0) | (tcp && fin && index === last ? FIN : 0),
      }))
      const { bytes: whole, l4 } = superFrameOf(made.flow, marked)
      memory.u8.set(whole, INPUT)
      const l3 = l3Offset(memory.view, INPUT, made.flow.l2 === 0 ? 0 : 14)
      const cut = segment(INPUT, whole.length, l3, l4, gsoType(made.flow), marked[0].payload.length)
      return JSON.stringify(hex(cut ?? [])) === JSON.stringify(hex(framesOf(made.flow, marked)))
    }),
    { numRuns: 300 },
  )
})

t.test('a checksum of zero is zero in TCP, and all ones in UDP', async (t) => {
  for (const ip of [4, 6] as const) {
    for (const protocol of ['tcp', 'udp'] as const) {
      const flow: Flow = { ...PLAIN_FLOW, ip, protocol }
      const piece = zeroSum(flow)
      const frames = framesOf(flow, [piece])
      const { bytes: whole, l4 } = superFrameOf(flow, [piece])
      memory.u8.set(whole, INPUT)
      const cut = segment(INPUT, whole.length, 14, l4, gsoType(flow), 100)
      t.same(hex(cut ?? []), hex(frames), `${protocol} over IPv${ip}`)
      const at = l4 + (protocol === 'tcp' ? 16 : 6)
      t.same([...frames[0].subarray(at, at + 2)], protocol === 'tcp' ? [0, 0] : [0xff, 0xff])
    }
  }
})

t.test('a checksum of zero that is written as all ones arrives so', async (t) => {
  const ones = (frame: Uint8Array, at: number) => {
    const copy = frame.slice()
    copy.fill(0xff, at, at + 2)
    return copy
  }
  for (const ip of [4, 6] as const) {
    const piece = zeroSum({ ...PLAIN_FLOW, ip })
    const next = { payload: new Uint8Array(100), flags: TCP_PLAIN }
    const [zero, second] = framesOf({ ...PLAIN_FLOW, ip }, [piece, next])
    const [first, zeroNext] = framesOf({ ...PLAIN_FLOW, ip, id: 99, sequence: 4900 }, [next, piece])
    const at = 14 + (ip === 4 ? 20 : 40) + 16
    t.same([...zeroNext.subarray(at, at + 2)], [0, 0])
    t.same(shape(join([zero, second], 14)), [2])
    t.same(shape(join([first, zeroNext], 14)), [2])
    for (const frames of [
      [ones(zero, at), second],
      [first, ones(zeroNext, at)],
    ]) {
      const written = join(frames, 14)
      t.same(shape(written), [1, 1])
      t.same(hex(written.flatMap((it) => it.frames)), hex(frames))
    }
    const udp: Flow = { ...PLAIN_FLOW, ip, protocol: 'udp' }
    t.same(shape(join(framesOf(udp, [zeroSum(udp), { ...next, flags: 0 }]), 14)), [2], 'of UDP, as ever')
  }
  // An IPv4 header whose checksum is zero: its ID makes up for it.
  const [plain] = framesOf({ ...PLAIN_FLOW, id: 0 }, three().slice(0, 1))
  const id = new DataView(plain.buffer).getUint16(14 + 10)
  const frames = framesOf({ ...PLAIN_FLOW, id }, three())
  t.same([...frames[0].subarray(24, 26)], [0, 0])
  t.same(shape(join(frames, 14)), [3])
  const odd = [ones(frames[0], 24), ...frames.slice(1)]
  const written = join(odd, 14)
  t.same(shape(written), [1, 2])
  t.same(hex(written.flatMap((it) => it.frames)), hex(odd))
})

t.test('where the kernel has left no sum, the addresses are summed', async () => {
  fc.assert(
    fc.property(run, fc.nat(0xffff), (made, left) => {
      const flow: Flow = { ...made.flow, via: undefined }
      const pieces = piecesOf({ ...made, flow })
      const { bytes: whole, l4 } = superFrameOf(flow, pieces)
      memory.u8.set(whole, INPUT)
      memory.view.setUint16(INPUT + l4 + (flow.protocol === 'tcp' ? 16 : 6), left)
      const l3 = l3Offset(memory.view, INPUT, flow.l2 === 0 ? 0 : 14)
      const cut = segment(INPUT, whole.length, l3, l4, gsoType(flow), pieces[0].payload.length, 0)
      return JSON.stringify(hex(cut ?? [])) === JSON.stringify(hex(framesOf(flow, pieces)))
    }),
    { numRuns: 100 },
  )
})

t.test('joined frames, cut again, are the frames that came, in their order', async (t) => {
  let joined = 0
  fc.assert(
    fc.property(fc.array(run, { minLength: 1, maxLength: 4 }), fc.constantFrom(0, 14), (runs, l2) => {
      const frames = runs.flatMap((it) => {
        const flow: Flow = { ...it.flow, l2: l2 === 0 ? 0 : it.flow.l2 === 18 ? 18 : 14 }
        return framesOf(flow, piecesOf({ ...it, flow }))
      })
      const written = join(frames, l2)
      joined += written.filter((it) => it.super).length
      return JSON.stringify(hex(written.flatMap((it) => it.frames))) === JSON.stringify(hex(frames))
    }),
    { numRuns: 200 },
  )
  t.ok(joined > 100, `${joined} super-frames were made`)
})

t.test('flows whose frames come mixed leave in the order that they came in', async (t) => {
  let joined = 0
  const bursts = fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 5 })), { maxLength: 60 })
  const runs = fc.array(run, { minLength: 2, maxLength: 4 })
  fc.assert(
    fc.property(runs, bursts, fc.boolean(), (runs, bursts, alike) => {
      // Flows that differ by their ports alone, or by anything.
      const flows = runs.map(({ flow }, index) =>
        alike ? { ...runs[0].flow, ports: [index + 1, 7] as const } : flow,
      )
      const queues = runs.map((it, index) => {
        const flow: Flow = { ...flows[index], l2: 14 }
        return framesOf(flow, piecesOf({ ...it, flow }))
      })
      const frames = bursts.flatMap(([which, count]) => queues[which % queues.length].splice(0, count))
      frames.push(...queues.flat())
      const written = join(frames, 14)
      joined += written.filter((it) => it.super).length
      return JSON.stringify(hex(written.flatMap((it) => it.frames))) === JSON.stringify(hex(frames))
    }),
    { numRuns: 150 },
  )
  t.ok(joined > 100, `${joined} super-frames were made`)
})

const three = (flags = [TCP_PLAIN, TCP_PLAIN, TCP_PLAIN], size = 1000): Piece[] =>
  flags.map((it, index) => ({ payload: new Uint8Array(size).fill(index + 1), flags: it }))
const shape = (written: readonly Written[]) => written.map((it) => it.frames.length)

t.test('a run of one flow becomes one super-frame', async (t) => {
  for (const ip of [4, 6] as const) {
    for (const l2 of [0, 14] as const) {
      t.same(shape(join(framesOf({ ...PLAIN_FLOW, ip, l2 }, three()), l2)), [3])
      const udp = three([0, 0, 0])
      t.same(shape(join(framesOf({ ...PLAIN_FLOW, ip, l2, protocol: 'udp' }, udp), l2)), [3])
      t.same(shape(join(framesOf({ ...PLAIN_FLOW, ip, l2, protocol: 'udp' }, udp), l2, false)), [1, 1, 1])
    }
  }
})

t.test('what does not continue a flow is not joined to it', async (t) => {
  const next = (change: Partial<Flow>, id = 101, sequence = 6000) =>
    framesOf({ ...PLAIN_FLOW, id, sequence, ...change }, three().slice(0, 1))
  const after = (frames: Uint8Array[]) =>
    shape(join([...framesOf(PLAIN_FLOW, three().slice(0, 1)), ...frames], 14))
  t.same(after(next({})), [2], 'the very next one is')
  const differences: [string, Uint8Array[]][] = [
    ['another host', next({ hosts: [2, 4] })],
    ['another port', next({ ports: [1001, 2000] })],
    ['another TOS', next({ tos: 4 })],
    ['another ECN mark', next({ tos: 3 })],
    ['another TTL', next({ ttl: 63 })],
    ['without DF', next({ df: false })],
    ['an IPv4 ID that does not follow', next({}, 102)],
    ['the same IPv4 ID', next({}, 100)],
    ['a gap in the sequence', next({}, 101, 6001)],
    ['a segment again', next({}, 101, 5000)],
    ['another acknowledgment', next({ acknowledgment: 78 })],
    ['another window', next({ window: 501 })],
    ['another timestamp', next({ options: Uint8Array.from([1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 2]) })],
    ['more options', next({ options: Uint8Array.from([...PLAIN_FLOW.options, 1, 1, 1, 1]) })],
    ['another protocol', next({ protocol: 'udp' })],
    ['IPv6', next({ ip: 6 })],
    ['a VLAN tag', next({ l2: 18 })],
    [
      'a longer payload',
      framesOf({ ...PLAIN_FLOW, id: 101, sequence: 6000 }, three(undefined, 1001).slice(0, 1)),
    ],
  ]
  for (const flags of [0x11, 0x12, 0x14, 0x30, 0x90, 0x00]) {
    const piece = { payload: new Uint8Array(1000), flags }
    differences.push([
      `the flags 0x${flags.toString(16)}`,
      framesOf({ ...PLAIN_FLOW, id: 101, sequence: 6000 }, [piece]),
    ])
  }
  for (const [what, frames] of differences) t.same(after(frames), [1, 1], what)
})

t.test('nothing follows a pushed segment or a short one', async (t) => {
  t.same(shape(join(framesOf(PLAIN_FLOW, three([TCP_PLAIN, TCP_PUSHED, TCP_PLAIN])), 14)), [2, 1])
  const short = three().map((piece, index) =>
    index === 1 ? { ...piece, payload: piece.payload.subarray(0, 999) } : piece,
  )
  t.same(shape(join(framesOf(PLAIN_FLOW, short), 14)), [2, 1])
})

t.test('fragments, IP options, padding and TCP without payload pass as they are', async (t) => {
  const [frame] = framesOf(PLAIN_FLOW, three().slice(0, 1))
  const changed = (at: number, value: number) => {
    const copy = frame.slice()
    copy[at] = value
    return copy
  }
  const odd = [
    changed(14 + 6, 0x20),
    changed(14, 0x46),
    Uint8Array.from([...frame, 0, 0]),
    changed(46, 0x40),
    changed(46, 0xf0),
    framesOf(PLAIN_FLOW, [{ payload: new Uint8Array(0), flags: TCP_PLAIN }])[0],
    frame.slice(0, 30),
    frame.slice(0, 14),
  ]
  const written = join(odd, 14)
  t.same(
    shape(written),
    odd.map(() => 1),
  )
  t.same(hex(written.flatMap((it) => it.frames)), hex(odd))
})

t.test('a frame whose checksum is wrong arrives wrong', async () => {
  fc.assert(
    fc.property(run, fc.nat(), fc.nat(7), (made, where, bit) => {
      const flow: Flow = { ...made.flow, l2: 14 }
      const frames = framesOf(flow, piecesOf({ ...made, flow }))
      const bad = frames[where % frames.length]
      bad[14 + ((where >>> 8) % (bad.length - 14))] ^= 1 << bit
      return JSON.stringify(hex(join(frames, 14).flatMap((it) => it.frames))) === JSON.stringify(hex(frames))
    }),
    { numRuns: 400 },
  )
})

t.test('any bytes at all pass the joiner unchanged', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { maxLength: 20 }),
      fc.constantFrom(0, 14),
      (frames, l2) => {
        return (
          JSON.stringify(hex(join(frames, l2).flatMap((it) => it.frames))) === JSON.stringify(hex(frames))
        )
      },
    ),
    { numRuns: 300 },
  )
})

t.test('nonsense in place of a super-frame is refused, not cut', async (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 14, maxLength: 300 }),
      fc.nat(400),
      fc.nat(255),
      fc.nat(2000),
      (content, l4, type, gsoSize) => {
        memory.u8.set(content, INPUT)
        const cut = segment(INPUT, content.length, 14, l4, type, gsoSize)
        return cut === undefined || cut.every((frame) => frame.length <= content.length)
      },
    ),
    { numRuns: 1000 },
  )
  const { bytes: whole, l4 } = superFrameOf(PLAIN_FLOW, three())
  memory.u8.set(whole, INPUT)
  t.equal(segment(INPUT, whole.length, 14, l4, VIRTIO_NET_HDR_GSO_TCPV4, 0), undefined, 'no segment size')
  t.equal(
    segment(INPUT, headerBytes(PLAIN_FLOW), 14, l4, VIRTIO_NET_HDR_GSO_TCPV4, 1000),
    undefined,
    'no payload',
  )
})
