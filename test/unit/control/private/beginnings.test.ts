import t from 'tap'
import { Beginnings } from '../../../../src/control/private/beginnings.js'
import { SimTime } from '../../../sim/clock.js'

/** Beginnings in simulated time. `work` may throw for one row. */
function beginnings(broken?: number) {
  const time = new SimTime()
  const begun: number[] = []
  const failed: number[] = []
  const begin = (row: number) => {
    if (row === broken) throw new Error('broken')
    begun.push(row)
  }
  const apart = (row: number, work: () => void) => {
    try {
      work()
    } catch {
      failed.push(row)
    }
  }
  const clock = { after: (ms: number, work: () => void) => time.after(ms, work) }
  return { time, begun, failed, it: new Beginnings(clock, begin, apart) }
}

const rows = (first: number, count: number) => Array.from({ length: count }, (_, at) => first + at)

t.test('a turn has eight handshakes, and the others follow in their order', async (t) => {
  const { time, begun, it } = beginnings()
  for (const row of rows(0, 20)) it.add(row)
  t.same(begun, rows(0, 8))
  await time.pass(1)
  t.same(begun, rows(0, 16))
  await time.pass(1)
  t.same(begun, rows(0, 20))
})

t.test('a row that waits twice begins once, and an error is kept from the others', async (t) => {
  const { time, begun, failed, it } = beginnings(9)
  for (const row of [...rows(0, 11), 8]) it.add(row)
  await time.pass(1)
  t.same([begun, failed], [[...rows(0, 9), 10], [9]])
})

t.test('nothing begins when it is closed', async (t) => {
  const { time, begun, it } = beginnings()
  for (const row of rows(0, 9)) it.add(row)
  it.close()
  await time.pass(10)
  t.same(begun, rows(0, 8))
})
