import t from 'tap'
import { DirectWatch } from '../../../../src/control/mesh/direct-watch.js'

const NOTHING = { tried: 0, heard: 0, relayed: 0 }
const STEP_MS = 100

/**
 * Looks so often, and returns when it asked, and when it said that the path is lost.
 * @param at what is known at a time
 */
function watch(untilMs: number, at: (nowMs: number) => typeof NOTHING, roundTripMs = 10) {
  const it = new DirectWatch({ nowMs: 0, roundTripMs, ...at(0) })
  const asked: number[] = []
  for (let nowMs = STEP_MS; nowMs <= untilMs; nowMs += STEP_MS) {
    const verdict = it.look({ nowMs, roundTripMs, ...at(nowMs) })
    if (verdict === 'lost') return { asked, lostMs: nowMs }
    if (verdict === 'ask') asked.push(nowMs)
  }
  return { asked, lostMs: undefined }
}

t.test('a path on which nothing is expected is good', async (t) => {
  t.same(
    watch(60_000, () => NOTHING),
    { asked: [], lostMs: undefined },
  )
})

t.test('a peer that says something from time to time is there, whatever is sent to it', async (t) => {
  t.same(
    watch(60_000, (nowMs) => ({ tried: nowMs, heard: Math.floor(nowMs / 300), relayed: 0 })),
    { asked: [], lostMs: undefined },
  )
})

t.test('one that says nothing is asked eight times, and then its path is lost', async (t) => {
  const found = watch(60_000, (nowMs) => ({ tried: nowMs >= 500 ? 1 : 0, heard: 0, relayed: 0 }))
  t.same(found, {
    asked: [900, 1_000, 1_100, 1_200, 1_300, 1_400, 1_500, 1_600],
    lostMs: 1_900,
  })
})

t.test('the longer the way, the longer it waits', async (t) => {
  const at = (nowMs: number) => ({ tried: nowMs >= 500 ? 1 : 0, heard: 0, relayed: 0 })
  const { asked, lostMs } = watch(60_000, at, 1_000)
  t.equal(asked[0], 1_800)
  t.equal(asked.length, 8)
  t.ok(lostMs !== undefined && lostMs >= 5_500, `${lostMs} ms`)
})

t.test('an answer to one of the questions is enough', async (t) => {
  for (const answeredMs of [1_000, 1_400]) {
    const found = watch(1_800, (nowMs) => ({
      tried: 1 + nowMs,
      heard: nowMs < answeredMs ? 0 : 1,
      relayed: 0,
    }))
    t.same(found.lostMs, undefined)
  }
})

t.test('it asks anew after each answer, while it tries', async (t) => {
  const { asked, lostMs } = watch(10_000, (nowMs) => ({
    tried: nowMs,
    heard: Math.floor(nowMs / 1_000),
    relayed: 0,
  }))
  t.equal(lostMs, undefined)
  t.ok(asked.length <= 60, `${asked.length} questions in 10 s`)
})

t.test('an end that stands still itself does not take the other one for lost', async (t) => {
  const it = new DirectWatch({ nowMs: 0, roundTripMs: 10, ...NOTHING })
  const tried = { roundTripMs: 10, tried: 1, heard: 0, relayed: 0 }
  t.equal(it.look({ nowMs: 100, ...tried }), 'good')
  t.equal(it.look({ nowMs: 20_000, ...tried }), 'ask')
  t.equal(it.look({ nowMs: 20_100, ...tried, heard: 1 }), 'good')
})

t.test('one that is heard by an introducer only has left the path, and is followed sooner', async (t) => {
  const found = watch(60_000, (nowMs) => ({ tried: 0, heard: 0, relayed: nowMs >= 500 ? nowMs : 0 }))
  t.same(found, { asked: [500, 600, 700], lostMs: 1_000 })
})

t.test('what was relayed before something came directly does not count', async (t) => {
  const found = watch(60_000, (nowMs) => ({
    tried: 0,
    heard: nowMs >= 400 ? 1 : 0,
    relayed: Math.min(nowMs, 300),
  }))
  t.same(found.lostMs, undefined)
})
