import t from 'tap'
import { mayStart } from '../../support/test-files.js'

const CORES = 2
const NONE = { waits: 0, computes: 0, alone: 0 }

t.test('one more file with hosts than there are cores', async (t) => {
  t.equal(mayStart('waits', { ...NONE, waits: CORES, computes: 1 }, CORES), true)
  t.equal(mayStart('waits', { ...NONE, waits: CORES + 2 }, CORES), false)
})

t.test('one file that computes beside those with hosts, and one for each core without them', async (t) => {
  t.equal(mayStart('computes', { ...NONE, waits: 1 }, CORES), true)
  t.equal(mayStart('computes', { ...NONE, waits: 1, computes: 1 }, CORES), false)
  t.equal(mayStart('computes', { ...NONE, computes: 1 }, CORES), true)
  t.equal(mayStart('computes', { ...NONE, computes: CORES }, CORES), false)
})

t.test('nothing runs beside a file that measures time', async (t) => {
  t.equal(mayStart('alone', NONE, CORES), true)
  t.equal(mayStart('alone', { ...NONE, waits: 1 }, CORES), false)
  t.equal(mayStart('alone', { ...NONE, computes: 1 }, CORES), false)
  for (const need of ['waits', 'computes', 'alone'] as const)
    t.equal(mayStart(need, { ...NONE, alone: 1 }, CORES), false)
})
