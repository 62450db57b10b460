/** docs/nat.md keeps its word: what comes to be between two hosts behind NATs, and how soon. */
import t, { type Test } from 'tap'
import { OTHERS, PAIRS } from './cases.js'
import { type Case, meet } from './meeting.js'
import { HEADS, promises, said, wayOf } from './page.js'

/** Five times the aims, because a machine may be so much slower. */
const REACHED_MS = 2_500
const DIRECT_MS = 10_000

async function holds(t: Test, it: Case, promise: string): Promise<void> {
  const meeting = await meet(it)
  const { way, reachedMs = 0, directMs = 0 } = meeting
  t.equal(way, wayOf(promise), `${said(meeting)}; promised: ${promise}`)
  // Without a hub that passes it on, what is reached is reached directly.
  t.ok(reachedMs <= (it.mode === 'tun' ? REACHED_MS : DIRECT_MS), `reached after ${reachedMs} ms`)
  t.ok(directMs <= DIRECT_MS, `directly after ${directMs} ms`)
}

const pairs = promises(HEADS.pairs)
for (const it of PAIRS)
  t.test(`behind ${it.row}, and ${it.column}`, (t) => holds(t, it, pairs(it.row, it.column)))

t.test('the table of pairs says the same in both directions', async (t) => {
  for (const { row, column } of PAIRS) t.equal(pairs(row, column), pairs(column, row))
})

const others = promises(HEADS.others)
for (const [name, it] of OTHERS) t.test(name, (t) => holds(t, it, others(name, 'what comes to be')))
