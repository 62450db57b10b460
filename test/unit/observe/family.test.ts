import t from 'tap'
import { byKey, counter, gauge, oneOf } from '../../../src/observe/family.js'

t.test('names have the prefix, and those of counters their ending', async (t) => {
  t.match(gauge('up', 'It is up.', '', [[true]]), {
    name: 'udptun_up',
    type: 'gauge',
    labels: [],
    samples: [{ value: 1, labels: [] }],
  })
  t.match(counter('drops', 'Dropped.', 'peer reason', [[3, 'a', 'runt']]), {
    name: 'udptun_drops_total',
    type: 'counter',
    labels: ['peer', 'reason'],
    samples: [{ value: 3, labels: ['a', 'runt'] }],
  })
})

t.test('what is null or undefined has no series, and zero and no have one', async (t) => {
  const { samples } = gauge('x', 'X.', 'peer', [
    [null, 'a'],
    [undefined, 'b'],
    [0, 'c'],
    [false, 'd'],
  ])
  t.same(samples, [
    { value: 0, labels: ['c'] },
    { value: 0, labels: ['d'] },
  ])
})

t.test('series for keys, and for words', async (t) => {
  t.same(byKey({ tap: true, udp: 7 }), [
    [true, 'tap'],
    [7, 'udp'],
  ])
  t.same(oneOf(['up', 'down'], 'down'), [
    [false, 'up'],
    [true, 'down'],
  ])
})
