import t from 'tap'
import { processorMask } from '../../../src/linux/rps.js'

t.test('a mask has a bit for each processor', async (t) => {
  const masks = [1, 2, 8, 31, 32, 33, 64, 72].map(processorMask)
  t.same(masks, [
    '1',
    '3',
    'ff',
    '7fffffff',
    'ffffffff',
    '1,ffffffff',
    'ffffffff,ffffffff',
    'ff,ffffffff,ffffffff',
  ])
})
