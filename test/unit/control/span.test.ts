import t from 'tap'
import { isIn, spanAround } from '../../../src/control/span.js'

t.test('it reaches from the last end that has come to the first one that has not', (t) => {
  const span = spanAround(10, [3, 20, 7, 12])
  t.same(span, { fromS: 7, untilS: 12 })
  t.same(
    [6.9, 7, 10, 11.9, 12].map((nowS) => isIn(span, nowS)),
    [false, true, true, true, false],
  )
  t.end()
})

t.test('an end at this second has come', (t) => {
  t.same(spanAround(10, [10, 11]), { fromS: 10, untilS: 11 })
  t.end()
})

t.test('without ends it is always', (t) => {
  const span = spanAround(10, [])
  t.ok(isIn(span, 0))
  t.ok(isIn(span, Number.MAX_SAFE_INTEGER))
  t.end()
})
