import t from 'tap'
import { dueOf } from '../../../../src/control/members/heard.js'

const MINUTE_MS = 60_000

/** Members that are heard now, and how long ago that was written of each. */
const heard = (nowMs: number, ago: Readonly<Record<string, number | undefined>>) =>
  Object.entries(ago).map(([key, minutes]) => ({
    key,
    heardMs: nowMs,
    writtenMs: minutes === undefined ? undefined : nowMs - minutes * MINUTE_MS,
  }))

t.test('nothing is written while all are written of', (t) => {
  t.equal(dueOf([]).size, 0)
  t.equal(dueOf(heard(1e12, { a: 9.9, b: 6, c: 0 })).size, 0)
  t.end()
})

t.test('one that was never heard is written at once, and those go with it that would be next', (t) => {
  const nowMs = 1e12
  t.same(
    dueOf(heard(nowMs, { never: undefined, old: 8, young: 4 })),
    new Map([
      ['never', nowMs],
      ['old', nowMs],
    ]),
  )
  t.end()
})

t.test('a thousand members, each of which came at another second, are written of every few minutes', (t) => {
  const written = new Map<string, number>()
  let writes = 0
  for (let second = 0; second < 3_600; second++) {
    const nowMs = second * 1_000
    const there = Array.from({ length: Math.min(second + 1, 1_000) }, (_, key) => ({
      key: `${key}`,
      heardMs: nowMs,
      writtenMs: written.get(`${key}`),
    }))
    const due = dueOf(there)
    if (due.size === 0) continue
    if (second > 1_000) writes++
    for (const [key, ms] of due) written.set(key, ms)
  }
  t.ok(writes > 3 && writes <= 10, `${writes} times in ${2_600 / 60} minutes`)
  t.ok([...written.values()].every((ms) => 3_600_000 - ms <= 10 * MINUTE_MS))
  t.end()
})
