/**
 * What joining rests upon: the kernel cuts what was joined into exactly the frames that came. Super-frames are
 * written to a tap, go over a bridge to one that takes none, and are read there.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { Host } from '../../../src/lab/host.js'
import { getLink, setLink } from '../../../src/linux/interface.js'
import { close, must, read, writev } from '../../../src/linux/libc.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import { iovec, virtio_net_hdr } from '../../../src/linux/structs.js'
import { openTap, setDeviceOffloads } from '../../../src/linux/tap.js'
import { byteOperations } from '../../../src/offload/bytes.js'
import { Joiner, type JoinTarget } from '../../../src/offload/join.js'
import { type Flow, framesOf, PLAIN_FLOW } from '../../support/frames.js'
import { bridge } from '../../support/hosts/network.js'
import { piecesOf, run, TCP_PLAIN, TCP_PUSHED, zeroSum } from '../../support/runs.js'

const FRAMES = 64 * 1024
const ARRIVE_MS = 2_000

/** Where all frames go: what goes elsewhere is the host's own. */
const DESTINATION = hex(framesOf(PLAIN_FLOW, [{ payload: new Uint8Array(1), flags: 0 }])[0].subarray(0, 6))

/** Two taps on a bridge, one with offloads and one without, and a joiner that writes to the first. */
function taps(host: Host) {
  const [near, far] = ['t0', 't1'].map((name) => host.run(() => openTap('tap', name)).fd)
  for (const name of ['t0', 't1'])
    host.netlink((netlink) => setLink(netlink, getLink(netlink, name).index, { mtuBytes: 9000, up: true }))
  bridge(host, 't0', 't1')
  if (!setDeviceOffloads(near, true).uso) throw new Error('this kernel has no USO')
  setDeviceOffloads(far, false)
  const memory = NativeMemory.allocate(1024 * 1024)
  const plain = (Joiner.BYTES + 63) & -64
  memory.writePointer(plain + iovec.iov_base, plain + 2 * iovec.size)
  memory.u32[(plain + iovec.iov_len) >>> 2] = virtio_net_hdr.size
  let supers = 0
  const target: JoinTarget = {
    writeFrame(frame, bytes) {
      memory.writePointer(plain + iovec.size + iovec.iov_base, frame)
      memory.u32[(plain + iovec.size + iovec.iov_len) >>> 2] = bytes
      must('writev', () => writev(near, memory.address(plain), 2))
    },
    writeSuperFrame(iovecs) {
      supers++
      must('writev', () => writev(near, memory.address(joiner.iovecs), iovecs))
    },
  }
  const joiner = new Joiner(memory, byteOperations(memory), 0, 14, target)
  const write = (frames: readonly Uint8Array[]) => {
    let at = FRAMES
    for (const frame of frames) {
      memory.u8.set(frame, at)
      joiner.add(at, frame.length)
      at += frame.length
    }
    joiner.flush()
  }
  const buffer = new Uint8Array(virtio_net_hdr.size + 65_536)
  /** What has come out at the far end, `count` frames or as many as there are in time. */
  const arrived = async (count: number) => {
    const frames: string[] = []
    for (const endMs = performance.now() + ARRIVE_MS; performance.now() < endMs; ) {
      const bytes = read(far, buffer, buffer.length)
      const frame = bytes > 0 ? hex(buffer.subarray(virtio_net_hdr.size, bytes)) : ''
      if (frame.startsWith(DESTINATION)) frames.push(frame)
      else if (frame !== '') continue
      else if (frames.length >= count) break
      else await sleep(1)
    }
    return frames
  }
  return { write, arrived, supers: () => supers, close: () => [near, far].map((fd) => close(fd)) }
}

async function withTaps(work: (made: ReturnType<typeof taps>) => Promise<void>) {
  using host = new Host('joined')
  const made = taps(host)
  try {
    await work(made)
  } finally {
    made.close()
  }
}

/** So many frames of a flow, the last shorter and of odd length, with these flags. */
function flowOf(change: Partial<Flow>, bytes: number, flags: readonly number[]): Uint8Array[] {
  const pieces = flags.map((it, index) => ({
    payload: new Uint8Array(index === flags.length - 1 ? (bytes >>> 1) | 1 : bytes).fill(index * 37),
    flags: it,
  }))
  return framesOf({ ...PLAIN_FLOW, ...change }, pieces)
}

t.test('the kernel cuts what was joined into the frames that came', async (t) => {
  await withTaps(async ({ write, arrived, supers }) => {
    const check = async (what: string, frames: readonly Uint8Array[], made: number) => {
      const before = supers()
      write(frames)
      t.same(await arrived(frames.length), frames.map(hex), what)
      t.equal(supers() - before, made, `${what}: super-frames`)
    }
    for (const ip of [4, 6] as const) {
      for (const bytes of [1, 535, 1400]) {
        const plain = Array<number>(40).fill(TCP_PLAIN)
        await check(`TCP over IPv${ip}, ${bytes} bytes`, flowOf({ ip }, bytes, plain), 1)
        const udp = flowOf({ ip, protocol: 'udp' }, bytes, Array<number>(40).fill(0))
        await check(`UDP over IPv${ip}, ${bytes} bytes`, udp, 1)
      }
      const pushed = [TCP_PLAIN, TCP_PLAIN, TCP_PUSHED, TCP_PLAIN, TCP_PLAIN, TCP_PUSHED]
      await check(`pushed in the middle, IPv${ip}`, flowOf({ ip }, 1000, pushed), 2)
      const marked = Array<number>(10).fill(TCP_PLAIN | 0x40)
      await check(`ECE, IPv${ip}`, flowOf({ ip, tos: 2 }, 1000, marked), 1)
      await check(`IDs and sequence numbers that wrap, IPv${ip}`, wrapping(ip), 1)
      for (const protocol of ['tcp', 'udp'] as const) {
        const flow: Flow = { ...PLAIN_FLOW, ip, protocol }
        const next = { payload: new Uint8Array(100).fill(1), flags: protocol === 'tcp' ? TCP_PLAIN : 0 }
        await check(`a checksum of zero, ${protocol}, IPv${ip}`, framesOf(flow, [zeroSum(flow), next]), 1)
      }
    }
  })
})

function wrapping(ip: 4 | 6): Uint8Array[] {
  return flowOf({ ip, id: 0xfffe, sequence: 0xfffffc18 }, 1000, Array<number>(6).fill(TCP_PLAIN))
}

t.test('whatever the runs are', async (t) => {
  await withTaps(async ({ write, arrived, supers }) => {
    await fc.assert(
      fc.asyncProperty(fc.array(run, { minLength: 1, maxLength: 3 }), async (runs) => {
        const frames = runs.flatMap((it) => {
          const flow: Flow = { ...it.flow, l2: it.flow.l2 === 18 ? 18 : 14 }
          return framesOf(flow, piecesOf({ ...it, flow }))
        })
        write(frames)
        return JSON.stringify(await arrived(frames.length)) === JSON.stringify(frames.map(hex))
      }),
      { numRuns: 300 },
    )
    t.ok(supers() > 50, `${supers()} super-frames were made`)
  })
})

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
