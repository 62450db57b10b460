import t from 'tap'
import { Seldom } from '../../../src/control/seldom.js'

t.test('the first time is said at once, what follows is counted, and said when it is time', async (t) => {
  const seldom = new Seldom(10_000)
  t.equal(seldom.due(0), undefined, 'nothing has happened')
  t.equal(seldom.happened(0), 1)
  t.equal(seldom.happened(1), undefined)
  t.equal(seldom.happened(9_999), undefined)
  t.equal(seldom.due(9_999), undefined)
  t.equal(seldom.due(10_000), 2)
  t.equal(seldom.due(30_000), undefined, 'each is said once')
  t.equal(seldom.happened(30_000), 1, 'at once again after a while')
})
