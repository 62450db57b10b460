import t from 'tap'
import type { DeviceLink } from '../../../src/control/device.js'
import { Vitals } from '../../../src/control/health.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import { planMemory, type WorkerRole } from '../../../src/memory/plan.js'
import { Pulse } from '../../../src/memory/pulse.js'
import { SimClock, SimTime } from '../../sim/clock.js'

/** A tunnel of which workers turn a moment after a bell, if they are not stuck. */
function tunnel() {
  const time = new SimTime()
  const plan = planMemory(1)
  const pulse = new Pulse(NativeMemory.allocate(plan.bytes), plan.state)
  const stuck = new Set<WorkerRole>()
  let link: DeviceLink | undefined = { mtuBytes: 1400, up: true, bridge: undefined }
  const vitals = new Vitals({
    clock: new SimClock(time),
    workers: {
      ring: () => {
        time.after(0.05, () => {
          for (const role of ['tap', 'udp'] as const) if (!stuck.has(role)) pulse.answer(role)
        })
      },
    },
    pulse,
    device: { name: 'tap0', link: () => link },
  })
  return {
    time,
    stuck,
    vitals,
    setLink: (it: DeviceLink | undefined) => {
      link = it
    },
  }
}

/** The answer of a check, after no more than so many milliseconds. */
async function within<T>(time: SimTime, ms: number, asked: Promise<T>): Promise<T | 'no answer'> {
  let answer: T | 'no answer' = 'no answer'
  void asked.then((it) => {
    answer = it
  })
  await time.pass(ms)
  return answer
}

t.test('a tunnel that works', async (t) => {
  const { time, vitals } = tunnel()
  t.same(await within(time, 10, vitals.check()), {
    healthy: true,
    reasons: [],
    device_up: true,
    workers: { tap: true, udp: true },
  })
})

t.test('a worker that does not turn, and then does', async (t) => {
  const { time, vitals, stuck } = tunnel()
  stuck.add('udp')
  t.equal(await within(time, 1_900, vitals.check()), 'no answer', 'it gets two seconds')
  t.match(await within(time, 2_100, vitals.check()), {
    healthy: false,
    reasons: ['the udp worker has not turned for 2 s'],
    workers: { tap: true, udp: false },
  })
  stuck.clear()
  t.match(await within(time, 10, vitals.check()), { healthy: true })
})

t.test('a device that is down, or gone', async (t) => {
  const { time, vitals, setLink } = tunnel()
  setLink({ mtuBytes: 1400, up: false, bridge: undefined })
  t.match(await within(time, 10, vitals.check()), {
    healthy: false,
    reasons: ['the device tap0 is down; set it up with: ip link set tap0 up'],
    device_up: false,
  })
  setLink(undefined)
  t.match(await within(time, 10, vitals.check()), { healthy: false, reasons: ['the device tap0 is gone'] })
})

t.test('the watchdog sees each of its questions answered, and that a worker is stuck', async (t) => {
  const { time, vitals, stuck } = tunnel()
  t.ok(vitals.workersTurn(), 'nothing was asked before')
  t.notOk(vitals.workersTurn(), 'no answer yet')
  await time.pass(1)
  t.ok(vitals.workersTurn())
  await time.pass(1)
  stuck.add('tap')
  t.ok(vitals.workersTurn(), 'it had answered')
  await time.pass(10_000)
  t.notOk(vitals.workersTurn())
  stuck.clear()
  void vitals.check()
  await time.pass(1)
  t.ok(vitals.workersTurn(), 'the answer to a later question is one to this')
})

t.test('questions about health do not make the watchdog think that a worker is stuck', async (t) => {
  const { time, vitals } = tunnel()
  t.ok(vitals.workersTurn())
  await time.pass(1)
  void vitals.check()
  t.ok(vitals.workersTurn(), 'its own question is answered, though the other is not yet')
  await time.pass(10)
})
