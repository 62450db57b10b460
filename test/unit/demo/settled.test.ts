import t from 'tap'
import { settledMs } from '../../../src/demo/settled.js'

const many = (count: number, value: number | null) => Array.from({ length: count }, () => value)

t.test('it takes ten pings, and then their median', (t) => {
  t.equal(settledMs(many(9, 0.5)), undefined)
  t.equal(settledMs([0.4, 0.5, 0.6, 0.5, 0.4, 0.6, 0.7, 0.5, 0.45, 0.55]), 0.5)
  t.end()
})

t.test('long times at first do not count', (t) => {
  const first = [13.2, 8.8, 6.9, 5.7, 25.8, 12.3, 8.7, 1.2, 1.7, 9]
  t.equal(settledMs(first), undefined)
  t.equal(settledMs([...first, ...many(7, 0.5)]), undefined, 'three of the last ten are long')
  t.equal(settledMs([...first, ...many(8, 0.5)]), 0.5, 'two may be')
  t.end()
})

t.test('it ends if they never settle, or never come back', (t) => {
  const wild = Array.from({ length: 39 }, (_, at) => (at % 2 === 0 ? 1 : 5))
  t.equal(settledMs(wild), undefined)
  t.equal(settledMs([...wild, 5]), 5)
  t.equal(settledMs(many(39, null)), undefined)
  t.equal(settledMs(many(40, null)), null)
  t.equal(settledMs([...many(39, null), 3]), 3)
  t.end()
})
