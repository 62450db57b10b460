import t from 'tap'
import {
  AF_INET,
  AF_INET6,
  IP_PKTINFO,
  IP_TOS,
  IPV6_PKTINFO,
  SOL_IP,
  SOL_IPV6,
  SOL_UDP,
  UDP_SEGMENT,
} from '../../../../src/linux/constants.js'
import { NativeMemory } from '../../../../src/linux/memory.js'
import {
  encodeLocal,
  encodeSockaddr,
  type SocketFamily,
  sockaddrLength,
} from '../../../../src/linux/sockaddr.js'
import { cmsghdr, in_pktinfo, in6_pktinfo, mmsghdr, msghdr } from '../../../../src/linux/structs.js'
import { encodeName, NAME_BYTES } from '../../../../src/memory/name.js'
import { SCRATCH_BYTES } from '../../../../src/memory/plan.js'
import { ControlMessages } from '../../../../src/worker/outbound/control-messages.js'
import { Scratch } from '../../../../src/worker/scratch.js'

const MESSAGES = 3
const LOCAL = '10.1.2.3'

function made(family: SocketFamily) {
  const memory = NativeMemory.allocate(SCRATCH_BYTES)
  const scratch = new Scratch(memory, 0)
  const controls = new ControlMessages(scratch, MESSAGES, sockaddrLength(family))
  const headers = scratch.take(MESSAGES * mmsghdr.size)
  const words = scratch.take(MESSAGES * 8) >>> 2
  const name = scratch.take(NAME_BYTES)
  const to = encodeSockaddr(family, { address: '10.1.2.4', port: 1 })
  memory.u8.set(encodeName(to, encodeLocal(LOCAL), true), name)
  const headerOf = (index: number) => headers + index * mmsghdr.size
  const wordsOf = (index: number) => words + 2 * index
  for (let index = 0; index < MESSAGES; index++) controls.prepare(index, headerOf(index))

  /** What the kernel finds: it follows `msg_control` and goes from one to the next, as CMSG_NXTHDR(3) does. */
  const found = (index: number) => {
    const { view, u8 } = memory
    const header = headerOf(index)
    let at = Number(view.getBigUint64(header + msghdr.msg_control, true) - memory.address(0))
    const end = at + Number(view.getBigUint64(header + msghdr.msg_controllen, true))
    const all: unknown[] = []
    while (at < end) {
      const bytes = Number(view.getBigUint64(at + cmsghdr.cmsg_len, true))
      if (bytes < cmsghdr.size) return ['no control message']
      const [level, type] = [cmsghdr.cmsg_level, cmsghdr.cmsg_type].map((it) => view.getInt32(at + it, true))
      const data = at + cmsghdr.size
      const isSegment = level === SOL_UDP && type === UDP_SEGMENT
      all.push([level, type, isSegment ? view.getUint16(data, true) : [...u8.slice(data, at + bytes)]])
      at += (bytes + 7) & -8
    }
    return all
  }
  return {
    found,
    put: (index: number, segmentBytes: number, dsField = 0) => {
      if (dsField !== 0) controls.setDsField(index, name, dsField)
      controls.put(index, headerOf(index), wordsOf(index), segmentBytes, dsField)
    },
    setSource: (index: number) => {
      memory.u32[wordsOf(index)] = controls.setSource(index, name)
    },
    leaveOutSource: (index: number) => {
      memory.u32[wordsOf(index)] = 0
    },
    dropSource: (index: number) => controls.dropSource(index, headerOf(index), wordsOf(index)),
  }
}

/** The source address as the kernel takes it, for any interface. */
const SOURCES = new Map<SocketFamily, unknown>([
  [
    AF_INET,
    [SOL_IP, IP_PKTINFO, zeros(in_pktinfo.size, [in_pktinfo.ipi_spec_dst, 10], [5, 1], [6, 2], [7, 3])],
  ],
  [
    AF_INET6,
    [
      SOL_IPV6,
      IPV6_PKTINFO,
      zeros(in6_pktinfo.size, [10, 0xff], [11, 0xff], [12, 10], [13, 1], [14, 2], [15, 3]),
    ],
  ],
])

function zeros(bytes: number, ...but: readonly (readonly [at: number, byte: number])[]): number[] {
  const all = new Array<number>(bytes).fill(0)
  for (const [at, byte] of but) all[at] = byte
  return all
}

const run = (bytes: number) => [SOL_UDP, UDP_SEGMENT, bytes]

for (const [family, source] of SOURCES) {
  const title = family === AF_INET ? 'IPv4' : 'IPv6'
  t.test(`${title}: a message has the source, the run, both or none, whatever it had before`, async (t) => {
    const { put, found, setSource, leaveOutSource } = made(family)
    const wishes = [
      [0, false],
      [500, false],
      [0, true],
      [700, true],
    ] as const
    for (const before of wishes) {
      for (const wish of wishes) {
        for (const [segmentBytes, hasSource] of [before, wish]) {
          if (hasSource) setSource(1)
          else leaveOutSource(1)
          put(1, segmentBytes)
        }
        const [segmentBytes, hasSource] = wish
        const wanted = [...(hasSource ? [source] : []), ...(segmentBytes > 0 ? [run(segmentBytes)] : [])]
        t.same(found(1), wanted, `${wish} after ${before}`)
      }
    }
    t.same([found(0), found(2)], [[], []], 'no other message is touched')
  })

  t.test(`${title}: with a DS field there is no gap, and afterwards none of it is left`, async (t) => {
    const { put, found, setSource, leaveOutSource } = made(family)
    const mark = [SOL_IP, IP_TOS, [0xb9, 0, 0, 0]]
    for (const segmentBytes of [0, 600]) {
      put(0, segmentBytes, 0xb9)
      t.same(found(0), [run(segmentBytes), mark], 'zero means that it is no run')
      setSource(0)
      put(0, segmentBytes, 0xb9)
      t.same(found(0), [source, run(segmentBytes), mark])
      put(0, segmentBytes)
      t.same(found(0), segmentBytes > 0 ? [source, run(segmentBytes)] : [source])
      leaveOutSource(0)
    }
  })

  t.test(`${title}: the source is dropped, and a run stays one`, async (t) => {
    const { put, found, setSource, dropSource } = made(family)
    for (const segmentBytes of [0, 900]) {
      setSource(2)
      put(2, segmentBytes)
      dropSource(2)
      t.same(found(2), segmentBytes > 0 ? [run(segmentBytes)] : [])
      put(2, segmentBytes)
      t.same(found(2), segmentBytes > 0 ? [run(segmentBytes)] : [], 'it stays dropped')
    }
  })
}
