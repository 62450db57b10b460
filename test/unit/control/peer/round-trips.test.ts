import t from 'tap'
import { RoundTrips } from '../../../../src/control/peer/round-trips.js'
import { SimClock, SimTime } from '../../../sim/clock.js'

async function measured(...takesMs: readonly number[]): Promise<{ trips: RoundTrips; time: SimTime }> {
  const time = new SimTime()
  const trips = new RoundTrips(new SimClock(time))
  for (const [index, ms] of takesMs.entries()) {
    trips.sent(3, BigInt(index))
    await time.pass(ms)
    trips.answered(3, BigInt(index))
  }
  return { trips, time }
}

t.test(
  'the first round trip counts as it is, a longer one by an eighth, a shorter one by half',
  async (t) => {
    t.equal((await measured()).trips.smoothedMs(3), undefined)
    t.equal((await measured(40)).trips.smoothedMs(3), 40)
    t.equal((await measured(40, 80)).trips.smoothedMs(3), 45)
    t.equal((await measured(40, 20)).trips.smoothedMs(3), 30)
    const { trips } = await measured(...Array.from({ length: 100 }, () => 20))
    t.equal(trips.smoothedMs(3), 20)
    t.equal(trips.smoothedMs(4), undefined, 'of another peer nothing is known')
  },
)

t.test('an answer counts once, and only one to a question of this peer', async (t) => {
  const { trips, time } = await measured(40)
  trips.answered(3, 0n)
  t.equal(trips.smoothedMs(3), 40)
  trips.sent(3, 7n)
  await time.pass(8)
  trips.answered(4, 7n)
  t.equal(trips.smoothedMs(4), undefined)
  trips.answered(3, 8n)
  t.equal(trips.smoothedMs(3), 40)
  trips.answered(3, 7n)
  t.equal(trips.smoothedMs(3), 24)
})

t.test('unanswered questions take no room, and a forgotten peer has no past', async (t) => {
  const { trips, time } = await measured(40)
  for (let token = 100n; token < 10_000n; token++) trips.sent(3, token)
  await time.pass(8)
  trips.answered(3, 100n)
  t.equal(trips.smoothedMs(3), 40, 'the oldest do not count any more')
  trips.answered(3, 9_999n)
  t.equal(trips.smoothedMs(3), 24)
  trips.forget(3)
  t.equal(trips.smoothedMs(3), undefined)
  trips.answered(3, 9_998n)
  t.equal(trips.smoothedMs(3), undefined)
})
