import t from 'tap'
import { Doorbell } from '../../../src/linux/eventfd.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import { C, COUNTERS } from '../../../src/memory/counters.js'
import { Ring, ringBytes } from '../../../src/memory/ring.js'
import { Loop } from '../../../src/worker/loop.js'
import { DONE, MORE, type Progress, type Sink, type Source } from '../../../src/worker/port.js'
import { Scratch } from '../../../src/worker/scratch.js'

const RING_BYTES = 4096
const RING = 4096
const OTHER_RING = RING + ringBytes(RING_BYTES)
const END = OTHER_RING + ringBytes(RING_BYTES)

/** A loop whose source always has more while `busy`, and whose sinks take all. */
function makeLoop() {
  const memory = NativeMemory.allocate(END)
  const bell = Doorbell.open()
  const otherBell = Doorbell.open()
  const told = { busy: true, filled: 0, drained: 0, rung: 0, woke: 0, end: false, wokeAtRung: -1 }
  const source: Source = {
    fd: otherBell.fd,
    recordBytes: 64,
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
    drain(ring: Ring): Progress {
      if (ring.peek() < 0) return DONE
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
  return { loop, bell, told, counters, close }
}

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
