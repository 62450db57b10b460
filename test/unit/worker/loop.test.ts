import { readSync, writeSync } from 'node:fs'
import t, { type Test } from 'tap'
import { Doorbell } from '../../../src/linux/eventfd.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import { C, COUNTERS } from '../../../src/memory/counters.js'
import { DeviceReader } from '../../../src/memory/device-reader.js'
import { STATE_BYTES } from '../../../src/memory/plan.js'
import { Ring, ringBytes } from '../../../src/memory/ring.js'
import { Loop } from '../../../src/worker/loop.js'
import { BLOCKED, DONE, MORE, type Progress, type Sink, type Source } from '../../../src/worker/port.js'
import { Scratch } from '../../../src/worker/scratch.js'

const RING_BYTES = 4096
const RING = 4096
const OTHER_RING = RING + ringBytes(RING_BYTES)
const END = OTHER_RING + ringBytes(RING_BYTES)

/** A loop whose source always has more while `busy`, and whose sinks take all. */
function makeLoop({
  blocked = () => false,
  blockedFd,
}: {
  blocked?: () => boolean
  blockedFd?: number
} = {}) {
  const memory = NativeMemory.allocate(END)
  const bell = Doorbell.open()
  const otherBell = Doorbell.open()
  const told = { busy: true, filled: 0, drained: 0, rung: 0, woke: 0, end: false, wokeAtRung: -1, looked: 0 }
  const source: Source = {
    fd: otherBell.fd,
    recordBytes: 64,
    filledBytes: 0,
    fill(ring: Ring): Progress {
      if (!told.busy) return DONE
      told.filled++
      ring.reserve(64)
      ring.commit(64)
      return MORE
    },
    handleError() {},
  }
  const sink: Sink = {
    fd: otherBell.fd,
    blockedFd: blockedFd ?? otherBell.fd,
    drain(ring: Ring): Progress {
      told.looked++
      if (ring.peek() < 0) return DONE
      if (blocked()) return BLOCKED
      told.drained++
      ring.release()
      return MORE
    },
  }
  const counters = new Float64Array(COUNTERS.length)
  const loop = new Loop({
    source,
    own: { ring: new Ring(memory, RING, RING_BYTES), sink },
    other: { ring: new Ring(memory, OTHER_RING, RING_BYTES), sink },
    bell,
    otherBell,
    scratch: new Scratch(memory, 0),
    counters,
    woke: () => {
      told.woke++
    },
    rung: () => {
      told.rung++
      told.wokeAtRung = told.woke
      return told.end
    },
  })
  const close = () => {
    bell.close()
    otherBell.close()
  }
  return { loop, bell, told, counters, ring: new Ring(memory, RING, RING_BYTES), close }
}

t.test(
  'woken while the other worker has the ring, a worker comes back for what its sink holds',
  async (t) => {
    const { loop, bell, told, ring, close } = makeLoop()
    told.busy = false
    t.ok(ring.tryLock())
    bell.ring()
    t.ok(loop.turn(-1))
    t.equal(told.looked, 1, 'at the other ring')
    for (let turn = 0; turn < 3; turn++) t.ok(loop.turn(-1), 'it does not sleep until it is rung again')
    t.equal(told.looked, 1)
    ring.unlock()
    t.notOk(loop.turn(0))
    t.equal(told.looked, 2)
    t.notOk(loop.turn(0))
    t.equal(told.looked, 2, 'it looks once')
    close()
  },
)

t.test('a sink that waits for another fd than its first one does not keep the worker awake', async (t) => {
  const full = Doorbell.open()
  const fill = new BigUint64Array([0xffff_ffff_ffff_fffen])
  t.equal(writeSync(full.fd, fill), 8, 'no more can be written to it')
  let blocked = true
  const { loop, told, close } = makeLoop({ blocked: () => blocked, blockedFd: full.fd })
  loop.turn(0)
  told.busy = false
  const startMs = performance.now()
  loop.turn(-1)
  t.ok(performance.now() - startMs > 20, 'it sleeps, although its first one can be written to')
  blocked = false
  t.equal(readSync(full.fd, fill), 8)
  loop.turn(-1)
  t.equal(told.drained, 1)
  full.close()
  close()
})

t.test('a worker that always has something to do hears its doorbell all the same', async (t) => {
  const { loop, bell, told, close } = makeLoop()
  for (let turn = 0; turn < 10_000; turn++) loop.turn(-1)
  t.same([told.filled, told.drained, told.rung], [10_000, 10_000, 0], 'and never sleeps')
  bell.ring()
  for (let turn = 0; turn < 300; turn++) loop.turn(-1)
  t.equal(told.rung, 1)
  close()
})

t.test('one that has nothing to do sleeps for as long as it may', async (t) => {
  const { loop, bell, told, counters, close } = makeLoop()
  told.busy = false
  t.notOk(loop.turn(1), 'nothing came')
  t.equal(counters[C.wakeUps], 0)
  bell.ring()
  t.ok(loop.turn(1_000))
  t.same([told.rung, counters[C.wakeUps]], [1, 1])
  close()
})

t.test('it runs until nothing comes, or it is told that it is the end', async (t) => {
  const { loop, bell, told, close } = makeLoop()
  told.busy = false
  t.notOk(loop.run(1), 'nothing came')
  bell.ring()
  t.ok(loop.run(1), 'the doorbell')
  t.notOk(loop.ended)
  told.end = true
  told.busy = true
  bell.ring()
  loop.run(-1)
  t.ok(loop.ended, 'busy as it is')
  close()
})

t.test(
  'after each poll, whatever it has found, the clock is looked at before anything is taken',
  async (t) => {
    const idle = makeLoop()
    idle.told.busy = false
    idle.bell.ring()
    idle.loop.turn(1_000)
    t.same([idle.told.woke, idle.told.wokeAtRung], [1, 1])
    idle.loop.turn(1)
    t.equal(idle.told.woke, 2, 'in vain')
    idle.close()
    const { loop, told, close } = makeLoop()
    for (let turn = 0; turn < 64 * 10; turn++) loop.turn(-1)
    t.equal(told.woke, 10, 'one that is busy looks now and then')
    close()
  },
)

/** The loops of both workers in one thread, with a device and a network that have what a test puts there. */
function makePair(t: Test) {
  const at = { tap: RING, udp: OTHER_RING, state: END }
  const memory = NativeMemory.allocate(END + STATE_BYTES)
  const bells = { tap: Doorbell.open(), udp: Doorbell.open() }
  const fds = { tap: Doorbell.open(), udp: Doorbell.open() }
  t.teardown(() => {
    for (const bell of [bells.tap, bells.udp, fds.tap, fds.udp]) bell.close()
  })
  const waiting = { tap: 0, udp: 0 }
  const bytes = { tap: 64, udp: 64 }
  const readBy = { tap: 0, udp: 0 }
  const looks = { tap: 0, udp: 0 }
  let full = false
  const source = (of: Role, by: Role): Source => ({
    fd: fds[of].fd,
    recordBytes: 64,
    get filledBytes() {
      return bytes[of]
    },
    fill(ring) {
      looks[of]++
      if (waiting[of] === 0) return DONE
      if (ring.reserve(64) < 0) return BLOCKED
      ring.commit(64)
      if (--waiting[of] === 0) fds[of].silence()
      if (of === 'tap') readBy[by]++
      return MORE
    },
    handleError() {},
  })
  const sink = (to: Role): Sink => ({
    fd: fds[to].fd,
    blockedFd: fds[to].fd,
    drain(ring) {
      if (ring.peek() < 0) return DONE
      if (full) return BLOCKED
      ring.release()
      return MORE
    },
  })
  const make = (role: Role, other: Role) =>
    new Loop({
      source: source(role, role),
      own: { ring: new Ring(memory, at[role], RING_BYTES), sink: sink(other) },
      other: { ring: new Ring(memory, at[other], RING_BYTES), sink: sink(role) },
      reader: new DeviceReader(memory, at.state),
      device: role === 'udp' ? source('tap', 'udp') : undefined,
      bell: bells[role],
      otherBell: bells[other],
      scratch: new Scratch(memory, role === 'tap' ? 0 : 1024),
      counters: new Float64Array(COUNTERS.length),
      woke() {},
      rung: () => false,
    })
  const loops = { tap: make('tap', 'udp'), udp: make('udp', 'tap') }
  const come = (at: Role, count: number) => {
    waiting[at] += count
    fds[at].ring()
  }
  /** Both sleep without anything to do, until each has seen that it is quiet. */
  const rest = () => {
    for (let i = 0; i < 3; i++) for (const loop of [loops.tap, loops.udp]) loop.turn(10)
  }
  return { loops, bytes, readBy, looks, come, rest, waiting, block: (on: boolean) => (full = on) }
}

type Role = 'tap' | 'udp'

t.test('after a silence the udp worker reads the device, and the tap worker does not', async (t) => {
  const { loops, come, rest, readBy } = makePair(t)
  come('tap', 1)
  loops.tap.run(0)
  t.same(readBy, { tap: 1, udp: 0 }, 'before')
  rest()
  come('tap', 1)
  t.notOk(loops.tap.run(0), 'one thread wakes, not two')
  t.ok(loops.udp.run(0))
  t.same(readBy, { tap: 1, udp: 1 })
})

t.test('during the warm-up each worker serves its own fd, however quiet it is', async (t) => {
  const { loops, come, rest, readBy } = makePair(t)
  for (const loop of [loops.tap, loops.udp]) loop.mayShare = false
  rest()
  come('tap', 1)
  t.notOk(loops.udp.run(0))
  t.ok(loops.tap.run(0))
  t.same(readBy, { tap: 1, udp: 0 })
  for (const loop of [loops.tap, loops.udp]) loop.mayShare = true
  rest()
  come('tap', 1)
  t.ok(loops.udp.run(0))
  t.same(readBy, { tap: 1, udp: 1 }, 'and after it one serves both')
})

t.test('after a frame of the device nobody looks at the network in vain', async (t) => {
  const { loops, come, rest, looks } = makePair(t)
  rest()
  const before = looks.udp
  come('tap', 1)
  loops.udp.run(0)
  t.equal(looks.udp, before, 'poll has found nothing there')
  come('udp', 1)
  loops.udp.run(0)
  t.ok(looks.udp > before)
})

t.test('what answers a frame from the network at once is read in the same turn', async (t) => {
  const { loops, come, rest, readBy, waiting } = makePair(t)
  rest()
  come('udp', 1)
  loops.udp.turn(0)
  waiting.tap = 1
  loops.udp.turn(0)
  t.equal(readBy.udp, 1)
})

for (const [what, at, count, recordBytes] of [
  ['many frames in a row', 'tap', 8, 64],
  ['many datagrams in a row', 'udp', 8, 64],
  ['a long record from the device', 'tap', 1, 8192],
  ['a long record from the network', 'udp', 1, 8192],
] as const)
  t.test(`${what} are more than one worker should serve: the tap worker gets the device back`, async (t) => {
    const { loops, come, rest, readBy, bytes, waiting } = makePair(t)
    rest()
    bytes[at] = recordBytes
    come(at, count)
    loops.udp.run(0)
    const before = readBy.udp
    come('tap', 1)
    t.ok(loops.tap.run(0), 'it was rung for')
    t.ok(readBy.tap > 0 && waiting.tap === 0)
    t.equal(readBy.udp, before)
    bytes[at] = 64
    rest()
    come('tap', 1)
    loops.udp.run(0)
    t.equal(readBy.udp, before + 1, 'after a silence the udp worker has it again')
  })

t.test('32 sleeps with little between them are quiet, too', async (t) => {
  const { loops, come, readBy } = makePair(t)
  for (let i = 0; i < 40; i++) {
    come('udp', 1)
    loops.udp.turn(0)
    loops.udp.turn(0)
    come('tap', 1)
    loops.tap.turn(0)
    loops.tap.turn(0)
    loops.udp.run(0)
  }
  t.ok(readBy.tap >= 30 && readBy.udp > 0, `${readBy.tap} and ${readBy.udp}`)
})

t.test('if the underlay takes nothing more, the tap worker reads the device', async (t) => {
  const { loops, come, rest, readBy, block } = makePair(t)
  rest()
  block(true)
  come('tap', 1)
  loops.udp.turn(0)
  loops.udp.turn(0)
  t.equal(readBy.udp, 1)
  come('tap', 1)
  loops.tap.turn(0)
  loops.tap.turn(0)
  t.equal(readBy.tap, 1)
})
