import fc from 'fast-check'
import t from 'tap'
import { LoopWatch, type WayLook } from '../../../../src/control/peer/loop-watch.js'

const LOOK_MS = 200
const OVERHEAD = 42

/** Looks at a way again and again, as a peer does: the device's MTU is the path's less the overhead. */
class Looker {
  readonly watch = new LoopWatch()
  nowMs = 0
  deviceBytes: number
  #way: Pick<WayLook, 'interface' | 'gateway' | 'mtuBytes'>

  constructor(mtuBytes = 1500) {
    this.#way = { interface: 'eth0', gateway: undefined, mtuBytes }
    this.deviceBytes = mtuBytes - OVERHEAD
    this.look()
  }

  /** @returns whether the way counts as a loop */
  look(change: Partial<WayLook> = {}, afterMs = LOOK_MS): boolean {
    this.nowMs += afterMs
    this.#way = { ...this.#way, ...change }
    const pathBytes = this.deviceBytes + OVERHEAD
    const way = { ...this.#way, pathBytes, deviceBytes: this.deviceBytes, ...change }
    const good = this.watch.look(this.nowMs, way)
    this.deviceBytes = (good?.pathBytes ?? this.#way.mtuBytes) - OVERHEAD
    return good !== undefined
  }

  /** Looks until the MTU is least, while the interface follows the device. @returns at which look it was a loop */
  fallWith(overhead: number, afterMs = LOOK_MS): number | undefined {
    for (let looks = 1; this.deviceBytes > 100; looks++)
      if (this.look({ mtuBytes: this.deviceBytes - overhead }, afterMs)) return looks
    return undefined
  }
}

t.test('another tunnel inside this one is noticed before it is any use to nobody', async (t) => {
  for (const [overhead, mtuBytes] of [
    [42, 1500],
    [28, 1500],
    [80, 9000],
    [130, 1280],
  ]) {
    const looker = new Looker(mtuBytes)
    t.notOk(looker.look({ interface: 'tap1', mtuBytes: mtuBytes - OVERHEAD - overhead }))
    t.equal(looker.fallWith(overhead), 2, `${overhead} bytes`)
    t.same(looker.watch.good, { ...looker.watch.good, mtuBytes, pathBytes: mtuBytes })
    t.equal(looker.deviceBytes, mtuBytes - OVERHEAD, 'the MTU is as before')
  }
})

t.test('the interface stays the same, and its own way becomes the loop', async (t) => {
  const looker = new Looker(1458)
  t.equal(looker.fallWith(42), 3, 'the first fall is an echo of nothing')
  t.equal(looker.watch.good?.pathBytes, 1458)
})

t.test('the other tunnel may take a few looks', async (t) => {
  const looker = new Looker()
  looker.look({ interface: 'tap1', mtuBytes: 1416 })
  for (const mtuBytes of [1332, 1248]) {
    for (let looks = 0; looks < 4; looks++) t.notOk(looker.look())
    t.equal(looker.look({ mtuBytes }), mtuBytes === 1248)
  }
})

t.test('it is over at once when the way is another one', async (t) => {
  for (const change of [
    { interface: 'eth0', mtuBytes: 1500 },
    { interface: 'eth1', mtuBytes: 1400 },
    { interface: undefined, mtuBytes: 1500 },
    { gateway: '10.8.0.9' },
  ]) {
    const looker = new Looker()
    looker.look({ interface: 'tap1', mtuBytes: 1416 })
    looker.fallWith(42)
    for (let looks = 0; looks < 50; looks++) t.ok(looker.look(), 'still')
    t.notOk(looker.look(change), JSON.stringify(change))
    t.notOk(looker.look())
  }
})

t.test('it is over when the peer answers, unless the answer may be late', async (t) => {
  const looker = new Looker()
  looker.look({ interface: 'tap1', mtuBytes: 1416 })
  looker.fallWith(42)
  looker.watch.answered(looker.nowMs + 500)
  t.ok(looker.look())
  looker.watch.answered(looker.nowMs + 1_500)
  t.notOk(looker.look())
  looker.watch.answered(looker.nowMs)
  t.notOk(looker.look(), 'an answer at any other time changes nothing')
})

t.test(
  'what the interface does because this MTU is up again does not end it; what it does later does',
  async (t) => {
    const looker = new Looker()
    looker.look({ interface: 'tap1', mtuBytes: 1416 })
    looker.fallWith(42)
    t.ok(looker.look({ mtuBytes: 1416 }), 'it follows')
    for (let looks = 0; looks < 20; looks++) t.ok(looker.look())
    t.notOk(looker.look({ mtuBytes: 1458 }))
  },
)

t.test('a loop that comes back is noticed again', async (t) => {
  const looker = new Looker()
  for (let round = 0; round < 3; round++) {
    looker.look({ interface: 'tap1', mtuBytes: 1416 })
    t.equal(looker.fallWith(42), 2)
    t.notOk(looker.look({ interface: 'eth0', mtuBytes: 1500 }))
    t.equal(looker.deviceBytes, 1458)
  }
})

t.test('MTUs that fall for other reasons are no loop', async (t) => {
  const steps = new Looker()
  for (const mtuBytes of [1400, 1300, 1200, 1100, 1000])
    t.notOk(steps.look({ mtuBytes }, 3_000), 'a slow hand')
  const once = new Looker()
  for (const mtuBytes of [1400, 1300, 1400, 1300, 1200]) t.notOk(once.look({ mtuBytes }), 'up in between')
  const property = fc.property(
    fc.array(
      fc.record({ fall: fc.integer({ min: 1, max: 300 }), waitMs: fc.integer({ min: 1, max: 5_000 }) }),
    ),
    (falls) => {
      const looker = new Looker(65_000)
      let mtuBytes = 65_000
      let before = 0
      return falls.every(({ fall, waitMs }) => {
        // Never the same twice in a row.
        const bytes = fall === before ? fall + 1 : fall
        before = bytes
        mtuBytes -= bytes
        return !looker.look({ mtuBytes }, waitMs)
      })
    },
  )
  t.doesNotThrow(() => fc.assert(property))
})

t.test('ways that change all the time are no loop', async (t) => {
  const looker = new Looker()
  for (let round = 0; round < 20; round++) {
    t.notOk(looker.look({ interface: 'wlan0', mtuBytes: 1416 }))
    t.notOk(looker.look({ interface: 'eth0', mtuBytes: 1332 }))
    t.notOk(looker.look({ interface: 'eth0', mtuBytes: 1500 }))
  }
})
