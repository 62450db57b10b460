import t from 'tap'
import { beginningOf } from '../../../src/cli/beginning.js'

const numbered = (count: number) => Array.from({ length: count }, (_, at) => `line ${at + 1}`).join('\n')

t.test('what fits beside the cursor stays as it is', async (t) => {
  t.equal(beginningOf(numbered(23), { columns: 80, rows: 24 }), numbered(23))
})

t.test('of what does not fit there is the beginning, and how much is missing', async (t) => {
  const lines = beginningOf(numbered(24), { columns: 80, rows: 24 }).split('\n')
  t.equal(lines.length, 23)
  t.same(lines.slice(20), ['line 21', 'line 22', '… 2 more lines (all without --watch)'])
})

t.test('lines count as the terminal wraps them, and the last one is no wider', async (t) => {
  const lines = beginningOf(`${'x'.repeat(45)}\n${numbered(9)}`, { columns: 20, rows: 6 }).split('\n')
  t.same(lines, ['x'.repeat(20), 'x'.repeat(20), 'xxxxx', 'line 1', '… 8 more lines (all '])
})
