import t from 'tap'
import { DirectWatch } from '../../../../src/control/mesh/direct-watch.js'

const NOTHING = { tried: 0, heard: 0, relayed: 0 }
const STEP_MS = 100

/** Looks so often, and returns when it asked, and when it said that the path is lost. @param at what is known at a time */
function watch(untilMs: number, at: (nowMs: number) => typeof NOTHING) {
  const it = new DirectWatch({ nowMs: 0, ...at(0) })
  const asked: number[] = []
  for (let nowMs = STEP_MS; nowMs <= untilMs; nowMs += STEP_MS) {
    const verdict = it.look({ nowMs, ...at(nowMs) })
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
    watch(60_000, (nowMs) => ({ tried: nowMs, heard: Math.floor(nowMs / 900), relayed: 0 })),
    { asked: [], lostMs: undefined },
  )
})

t.test('one that says nothing is asked, and its path is lost after three seconds', async (t) => {
  const found = watch(60_000, (nowMs) => ({ tried: nowMs >= 500 ? 1 : 0, heard: 0, relayed: 0 }))
  t.same(found, { asked: [1_500, 2_000, 2_500, 3_000], lostMs: 3_500 })
})

t.test('an answer to that is enough', async (t) => {
  const found = watch(10_000, (nowMs) => ({ tried: 1 + nowMs, heard: nowMs < 2_600 ? 0 : nowMs, relayed: 0 }))
  t.same(found.lostMs, undefined)
})

t.test('one that is heard by an introducer only has left the path, and is followed sooner', async (t) => {
  const found = watch(60_000, (nowMs) => ({ tried: 0, heard: 0, relayed: nowMs >= 500 ? nowMs : 0 }))
  t.same(found, { asked: [1_500, 2_000], lostMs: 2_500 })
})

t.test('what was relayed before something came directly does not count', async (t) => {
  const found = watch(60_000, (nowMs) => ({
    tried: 0,
    heard: nowMs >= 700 ? 1 : 0,
    relayed: Math.min(nowMs, 600),
  }))
  t.same(found.lostMs, undefined)
})
