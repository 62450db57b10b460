import fc from 'fast-check'
import t from 'tap'
import { CONFIRM_MS, PathMtuSearch, type Probe } from '../../../../src/control/path-mtu/search.js'
import { encapFor, outerBytes } from '../../../../src/encap/encap.js'
import { controlFrameBytes, writeControl } from '../../../../src/wire/control.js'
import type { IpFamily } from '../../../../src/wire/ip.js'

const REFRESH_MS = 600_000

/** A way to an end that acknowledges, as the search sees it: a queue of acknowledgements that come back. */
interface Path {
  mtuBytes: number
  rttMs: number
  /** Of packets, each way. */
  loss: number
  silent: boolean
  /** Drops whatever it likes. */
  drops?: (probe: Probe) => boolean
}

class World {
  nowMs = 1_000
  sentPackets = 0
  /** Of all probes. */
  readonly sizes = new Set<number>()
  sentBytes = 0
  readonly path: Path
  readonly search: PathMtuSearch
  readonly #random: () => number
  readonly #coming: { atMs: number; probe: Probe }[] = []

  constructor(path: Path, ceilingBytes: number, seed = 1, family: IpFamily = 'ipv4', leastBytes = 58) {
    this.path = path
    this.#random = generator(seed)
    this.search = new PathMtuSearch(
      { family, ceilingBytes, leastBytes, refreshMs: REFRESH_MS, random: () => 0.5 },
      this.nowMs,
    )
  }

  /** Runs until `done` or for so long; returns how long it took. */
  run(forMs: number, done = () => false, traffic = false): number {
    const startMs = this.nowMs
    let trafficMs = startMs
    while (this.nowMs < startMs + forMs && !done()) {
      for (const probe of this.search.poll(this.nowMs)) this.#send(probe)
      if (done()) break
      if (traffic && this.nowMs >= trafficMs) {
        this.search.traffic(this.nowMs)
        trafficMs += CONFIRM_MS
        continue
      }
      const next = this.#coming[0]
      const wakeMs = Math.min(this.search.nextMs, traffic ? trafficMs : Number.POSITIVE_INFINITY)
      this.nowMs = Math.max(
        this.nowMs,
        Math.min(next?.atMs ?? Number.POSITIVE_INFINITY, wakeMs, startMs + forMs),
      )
      if (next !== undefined && next.atMs <= this.nowMs) {
        this.#coming.shift()
        this.search.acknowledged(next.probe, this.nowMs)
      }
    }
    return this.nowMs - startMs
  }

  complete(withinMs = 60_000): number {
    return this.run(withinMs, () => this.search.state === 'complete' && this.search.doing === undefined)
  }

  #send(probe: Probe): void {
    this.sentPackets++
    this.sentBytes += probe.sizeBytes
    this.sizes.add(probe.sizeBytes)
    const { mtuBytes, loss, silent, rttMs, drops } = this.path
    if (silent || probe.sizeBytes > mtuBytes || drops?.(probe) === true) return
    if (this.#random() < loss || this.#random() < loss) return
    this.#coming.push({ atMs: this.nowMs + rttMs * (1 + this.#random() / 10), probe })
    this.#coming.sort((a, b) => a.atMs - b.atMs)
  }
}

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let x = Math.imul(state ^ (state >>> 15), state | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }
}

const path = (mtuBytes: number, more: Partial<Path> = {}): Path => ({
  mtuBytes,
  rttMs: 1,
  loss: 0,
  silent: false,
  ...more,
})

t.test('a path as wide as the interface is found within a few round trips', async (t) => {
  for (const rttMs of [0.2, 5, 100]) {
    const world = new World(path(1500, { rttMs }), 1500)
    const tookMs = world.complete()
    t.equal(world.search.mtuBytes, 1500)
    t.ok(world.search.confirmed)
    t.ok(tookMs < 4 * rttMs + 1, `${tookMs} ms at ${rttMs} ms there and back`)
  }
})

t.test('any path is found exactly where nothing but silence tells its size, in 5 s', async (t) => {
  // With one datagram of twenty lost, some searches in ten thousand take a second more.
  const withinMs = (loss: number) => (loss === 0.05 ? 10_000 : 5_000)
  const property = fc.property(
    fc.integer({ min: 576, max: 9_100 }),
    fc.constantFrom(1400, 1500, 9000, 9001),
    fc.constantFrom(0.3, 3, 30, 100),
    fc.constantFrom(0, 0.01, 0.05),
    fc.nat(),
    (mtuBytes, ceilingBytes, rttMs, loss, seed) => {
      const world = new World(path(mtuBytes, { rttMs, loss }), ceilingBytes, seed)
      const tookMs = world.complete()
      t.equal(world.search.mtuBytes, Math.min(mtuBytes, ceilingBytes))
      if (tookMs >= withinMs(loss)) t.fail(`took ${tookMs} ms`)
    },
  )
  fc.assert(property, { numRuns: 300 })
})

t.test('over IPv6 nothing below 1280 is looked for', async (t) => {
  const world = new World(path(1280), 1500, 1, 'ipv6')
  world.complete()
  t.equal(world.search.mtuBytes, 1280)
})

t.test(
  '5% lost each way is never taken for a small path, in ten thousand searches and as many confirmations',
  async (t) => {
    let wrong = 0
    for (let seed = 0; seed < 10_000; seed++) {
      const world = new World(path(1500, { loss: 0.05 }), 1500, seed)
      world.complete()
      if (world.search.mtuBytes !== 1500) wrong++
      world.run(5_000, () => world.search.mtuBytes !== 1500, true)
      if (world.search.mtuBytes !== 1500) wrong++
    }
    t.equal(wrong, 0)
  },
)

t.test('a black hole in a transfer is found, and what passes is used, well within 10 s', async (t) => {
  const property = fc.property(
    fc.integer({ min: 600, max: 1_499 }),
    fc.constantFrom(0.3, 30, 200),
    fc.constantFrom(0, 0.05),
    fc.nat(),
    (narrow, rttMs, loss, seed) => {
      const world = new World(path(1500, { rttMs, loss }), 1500, seed)
      world.complete()
      world.run(3_500, undefined, true)
      world.path.mtuBytes = narrow
      const tookMs = world.run(20_000, () => world.search.mtuBytes <= narrow, true)
      if (tookMs >= 8_000) t.fail(`took ${tookMs} ms`)
      world.run(10_000, undefined, true)
      t.equal(world.search.mtuBytes, narrow)
    },
  )
  fc.assert(property, { numRuns: 100 })
})

t.test('bursts of congestion, worst for long packets, are no small path', async (t) => {
  let changes = 0
  for (let seed = 0; seed < 100; seed++) {
    const random = generator(seed)
    const world = new World(path(1500, { rttMs: 2 }), 1500, seed)
    world.complete()
    // A third of the time a queue is full: what is long finds no room, what is short does now and then.
    world.path.drops = ({ sizeBytes }) => world.nowMs % 900 < 300 && random() < (sizeBytes > 0 ? 1 : 0.5)
    world.run(20_000, () => world.search.mtuBytes !== 1500, true)
    if (world.search.mtuBytes !== 1500) changes++
  }
  t.ok(changes <= 2, `${changes} of 100 were taken in, in 20 s each`)
})

t.test('while a transfer flows over a way that loses 5 %, probes take less than 16 kbit/s', async (t) => {
  const world = new World({ mtuBytes: 1500, rttMs: 60, loss: 0.05, silent: false }, 1500)
  world.complete()
  const before = world.sentBytes
  const tookMs = world.run(1_000_000, () => world.search.mtuBytes !== 1500, true)
  t.equal(tookMs, 1_000_000, 'the size stays')
  const kbits = ((world.sentBytes - before) * 8) / tookMs
  t.ok(kbits < 16, `${kbits.toFixed(1)} kbit/s`)
})

t.test('a peer that falls silent says nothing about sizes', async (t) => {
  const world = new World(path(1400), 1500)
  world.complete()
  world.path.silent = true
  world.run(60_000, undefined, true)
  t.equal(world.search.mtuBytes, 1400)
  t.equal(world.search.state, 'complete')
  world.path.silent = false
  world.path.mtuBytes = 1300
  world.run(5_000, undefined, true)
  t.equal(world.search.mtuBytes, 1300, 'and is checked when it is back')
})

t.test('an end that never answers is left alone, until it speaks', async (t) => {
  const world = new World(path(1400, { silent: true }), 1500)
  world.run(300_000)
  t.equal(world.search.state, 'disabled')
  t.equal(world.search.mtuBytes, 1500)
  t.notOk(world.search.confirmed)
  t.ok(world.sentPackets <= 10, `${world.sentPackets} packets`)
  t.equal(world.sentBytes, 0, 'and none but the shortest')
  world.path.silent = false
  world.search.heard(world.nowMs)
  world.complete()
  t.equal(world.search.mtuBytes, 1400)
})

t.test('a hint is checked, not believed: a forged one changes nothing', async (t) => {
  const world = new World(path(1500), 1500)
  world.complete()
  const before = world.sentPackets
  for (let i = 0; i < 1_000; i++) {
    world.search.hint(i % 2 === 0 ? 552 : 1400, world.nowMs)
    world.run(10, () => world.search.mtuBytes !== 1500)
  }
  t.equal(world.search.mtuBytes, 1500)
  const packets = world.sentPackets - before
  t.ok(packets > 10 && packets < 200, `${packets} packets in 10 s of forgeries`)
})

t.test('a true hint is taken within half a second, also without traffic', async (t) => {
  const world = new World(path(1500), 1500)
  world.complete()
  world.path.mtuBytes = 1337
  world.search.hint(1337, world.nowMs)
  const tookMs = world.run(10_000, () => world.search.mtuBytes <= 1337)
  t.ok(tookMs < 500, `${tookMs} ms`)
  world.complete()
  t.equal(world.search.mtuBytes, 1337)
})

t.test('a hint below what any host takes is not taken, though it be true', async (t) => {
  const world = new World(path(1500), 1500)
  world.complete()
  world.path.mtuBytes = 400
  world.search.hint(400, world.nowMs)
  world.run(2_000)
  t.equal(world.search.state, 'error')
  t.equal(world.search.mtuBytes, 576)
  world.path.mtuBytes = 1500
  world.run(40_000)
  t.equal(world.search.state, 'complete')
  t.equal(world.search.mtuBytes, 1500, 'and it is found when it is over')
})

t.test(
  'a wider path is found by the refresh timer, by being asked, and by a larger packet from there',
  async (t) => {
    const notices: Record<string, (world: World) => void> = {
      timer: (world) => void world.run(1.3 * REFRESH_MS),
      asked: (world) => world.search.refresh(world.nowMs),
      larger: (world) => world.search.larger(1500, world.nowMs),
    }
    for (const [what, notice] of Object.entries(notices)) {
      const world = new World(path(1400), 1500)
      world.complete()
      t.equal(world.search.mtuBytes, 1400)
      world.run(10_000, undefined, true)
      world.path.mtuBytes = 1476
      notice(world)
      const tookMs = world.complete()
      t.equal(world.search.mtuBytes, 1476, what)
      t.ok(tookMs < 3_000, `${what}: ${tookMs} ms`)
    }
  },
)

t.test('a confirmation under steady traffic does not put off the refresh', async (t) => {
  const world = new World(path(1400), 1500)
  world.complete()
  world.path.mtuBytes = 1500
  world.run(1.3 * REFRESH_MS, undefined, true)
  t.equal(world.search.mtuBytes, 1500)
})

t.test('an interface below what every host takes is a fact', async (t) => {
  const world = new World(path(1500), 1500)
  world.complete()
  world.search.setCeiling(80, world.nowMs)
  t.equal(world.search.mtuBytes, 80)
  world.complete()
  t.match(world.search, { mtuBytes: 80, confirmed: true })
  world.search.setCeiling(1500, world.nowMs)
  world.complete()
  t.equal(world.search.mtuBytes, 1500)
})

t.test("the interface's MTU: less is taken at once, more is looked for", async (t) => {
  const world = new World(path(9000), 1500)
  world.complete()
  world.search.setCeiling(1400, world.nowMs)
  t.equal(world.search.mtuBytes, 1400)
  world.complete()
  world.search.setCeiling(9216, world.nowMs)
  t.equal(world.search.mtuBytes, 1400, 'not before it is known to pass')
  world.complete()
  t.equal(world.search.mtuBytes, 9000)
})

t.test(
  'whatever is lost, the size in use is one that was acknowledged, or the floor, and no less',
  async (t) => {
    const property = fc.property(
      fc.nat(),
      fc.integer({ min: 100, max: 3_000 }),
      fc.double({ min: 0, max: 0.9, noNaN: true }),
      (seed, mtuBytes, loss) => {
        const world = new World(path(mtuBytes, { loss }), 2_000, seed)
        const random = generator(seed + 1)
        for (let i = 0; i < 30; i++) {
          world.run(random() * 3_000, undefined, random() < 0.5)
          if (random() < 0.3) world.search.hint(Math.floor(random() * 70_000), world.nowMs)
          if (random() < 0.2) world.search.refresh(world.nowMs)
          if (random() < 0.2) world.search.setCeiling(576 + Math.floor(random() * 9_000), world.nowMs)
          if (random() < 0.2) world.search.heard(world.nowMs)
          if (random() < 0.2) world.search.larger(Math.floor(random() * 10_000), world.nowMs)
          const { search } = world
          if (search.mtuBytes < 576) t.fail(`${search.mtuBytes} is below the floor`)
          if (search.confirmed && search.mtuBytes > Math.max(576, mtuBytes))
            t.fail(`${search.mtuBytes} does not pass`)
          if (search.nextMs < world.nowMs - 10_000) t.fail('it is stuck')
        }
      },
    )
    fc.assert(property, { numRuns: 200 })
  },
)

/** Interfaces at the edges: the least of IPv4, shorter than a probe in a private tunnel, of a byte, the least of IPv6. */
const EDGES = [
  68, 69, 84, 85, 90, 91, 95, 96, 97, 100, 111, 116, 127, 128, 129, 255, 256, 575, 576, 577, 1279, 1280, 1281,
  1500, 9000, 65_521, 65_534, 65_535,
]

t.test('on an interface of any width only what a control frame can be is probed', async (t) => {
  for (const mode of ['tap', 'tun'] as const)
    for (const family of ['ipv4', 'ipv6'] as const)
      for (const moreBytes of [0, encapFor(mode, true).leastBytes]) {
        const overBytes = outerBytes(family) + moreBytes
        const leastBytes = overBytes + controlFrameBytes(mode)
        const what = `${mode} over ${family}, ${moreBytes} bytes of sealing`
        for (const ceilingBytes of EDGES) {
          for (const mtuBytes of new Set([ceilingBytes, Math.min(ceilingBytes, 600), 60])) {
            const world = new World(path(mtuBytes), ceilingBytes, 1, family, leastBytes)
            world.run(30_000, undefined, true)
            world.search.hint(68, world.nowMs)
            world.search.larger(65_535, world.nowMs)
            world.run(30_000, undefined, true)
            // As when the interface is given each other width, and this one again.
            for (const bytes of [68, 65_535, 100, ceilingBytes]) {
              world.search.setCeiling(bytes, world.nowMs)
              world.search.refresh(world.nowMs)
              world.search.heard(world.nowMs)
              world.run(5_000, undefined, true)
            }
            const frames = [...world.sizes].filter((size) => size > 0).map((size) => size - overBytes)
            for (const bytes of frames) writeControl(mode, { type: 'probe', token: 0n, sizeBytes: 0 }, bytes)
            const { search } = world
            const narrow = ceilingBytes < leastBytes
            t.equal(search.state === 'disabled', narrow, `${what}: ${ceilingBytes} wide, ${search.state}`)
            if (narrow)
              t.same([search.mtuBytes, search.confirmed, search.doing], [ceilingBytes, false, undefined])
            t.ok(search.nextMs > world.nowMs, 'it does not go round and round')
          }
        }
      }
})
