import fc from 'fast-check'
import t from 'tap'
import { highestRate, type SearchOptions, type Trial } from '../../../../bench/macro/rfc2544.js'

const OPTIONS: SearchOptions = {
  ceilingPerSecond: 100_000,
  floorPerSecond: 100,
  lossLimit: 0.001,
  resolution: 0.05,
}

/** Something that forwards up to `capacity` datagrams a second and loses the rest. */
function device(capacity: number, log: number[] = [], offerable = Number.POSITIVE_INFINITY) {
  return async (datagramsPerSecond: number): Promise<Trial> => {
    log.push(datagramsPerSecond)
    const sentPerSecond = Math.min(datagramsPerSecond, offerable)
    return { datagramsPerSecond, sentPerSecond, lostShare: Math.max(0, 1 - capacity / sentPerSecond) }
  }
}

t.test('finds the capacity from below, within the resolution, in few trials', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 200, max: 99_000 }), async (capacity) => {
      const log: number[] = []
      const found = await highestRate(device(capacity, log), OPTIONS)
      // A loss within the limit passes.
      const most = capacity / (1 - OPTIONS.lossLimit)
      return found <= most && found >= capacity / (1 + OPTIONS.resolution) && log.length <= 30
    }),
  )
  t.pass()
})

t.test('begins at the ceiling, and ends there where nothing is lost', async (t) => {
  const log: number[] = []
  t.equal(await highestRate(device(1e9, log), OPTIONS), 100_000)
  t.same(log, [100_000])
})

t.test('counts what was sent where the generator is the slower', async (t) => {
  const log: number[] = []
  t.equal(await highestRate(device(1e9, log, 40_000), OPTIONS), 40_000)
  t.same(log, [100_000])
})

t.test('a single loss that does not repeat itself counts for nothing', async (t) => {
  let disturbed = false
  const quiet = device(1e9)
  const found = await highestRate(async (rate) => {
    const trial = await quiet(rate)
    if (disturbed) return trial
    disturbed = true
    return { ...trial, lostShare: 0.5 }
  }, OPTIONS)
  t.equal(found, 100_000)
})

t.test('nothing passes through what always loses', async (t) => {
  const log: number[] = []
  const found = await highestRate(async (rate) => {
    log.push(rate)
    return { datagramsPerSecond: rate, sentPerSecond: rate, lostShare: 0.01 }
  }, OPTIONS)
  t.equal(found, 0)
  t.ok(log.every((rate) => rate >= OPTIONS.floorPerSecond))
})

t.test('a failing trial ends the search with its error', async (t) => {
  await t.rejects(
    highestRate(async () => {
      throw new Error('iperf3: no route')
    }, OPTIONS),
    { message: 'iperf3: no route' },
  )
})
