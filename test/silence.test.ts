import t from 'tap'
import { SilenceWatch, type Traffic } from '../src/control/silence.js'

const START: Traffic = { nowMs: 1_000_000, sentFrames: 10, receivedFrames: 10 }

/** A watch, and what it says `seconds` after the start with so many frames sent and received since. */
function watch() {
  const silence = new SilenceWatch(START)
  return (seconds: number, sent: number, received: number) =>
    silence.isTime({
      nowMs: START.nowMs + seconds * 1000,
      sentFrames: START.sentFrames + sent,
      receivedFrames: START.receivedFrames + received,
    })
}

t.test('it is time when nothing has come for 30 s while frames went out', async (t) => {
  const isTime = watch()
  t.notOk(isTime(1, 1, 0))
  t.notOk(isTime(29.9, 20, 0), 'not before')
  t.ok(isTime(30, 20, 0))
})

t.test('it is not while nothing goes out: silence is then no wonder', async (t) => {
  const isTime = watch()
  for (let seconds = 1; seconds < 300; seconds++) if (isTime(seconds, 0, 0)) t.fail(`after ${seconds} s`)
  t.pass('never')
})

t.test('whatever comes starts the 30 s anew', async (t) => {
  const isTime = watch()
  t.notOk(isTime(25, 5, 1), 'something came')
  t.notOk(isTime(54, 9, 1), '29 s after that')
  t.ok(isTime(55, 9, 1), '30 s after that')
})

t.test('what came at the same time as the last frame went out does not count as silence', async (t) => {
  const isTime = watch()
  t.notOk(isTime(40, 5, 5))
  t.notOk(isTime(69, 6, 5))
  t.ok(isTime(70, 6, 5))
})

t.test('while the silence lasts it is time once in 30 s, and no oftener', async (t) => {
  const isTime = watch()
  const times: number[] = []
  for (let seconds = 1; seconds <= 100; seconds++) if (isTime(seconds, seconds, 0)) times.push(seconds)
  t.same(times, [30, 60, 90])
})
