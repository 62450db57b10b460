import { stripVTControlCharacters } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { duration, si, table } from '../../../src/cli/table.js'

const lines = (rows: readonly (readonly string[])[]) =>
  stripVTControlCharacters(table(rows))
    .split('\n')
    .map((line) => line.trimEnd())

t.test('a table has its first column left, the others right, and no borders', async (t) => {
  t.same(
    lines([
      ['traffic', 'frames', 'bytes'],
      ['outbound', '1.23 M', '99 B'],
      ['in', '7', '1.50 GB'],
    ]),
    ['traffic   frames    bytes', 'outbound  1.23 M     99 B', 'in             7  1.50 GB'],
  )
})

t.test('every cell of a table is in it, in order, and its lines are as long as each other', async (t) => {
  const word = fc.string({ unit: fc.constantFrom(...'abcXYZ0189.-/'), minLength: 1, maxLength: 12 })
  const rows = fc
    .integer({ min: 1, max: 6 })
    .chain((columns) =>
      fc.array(fc.array(word, { minLength: columns, maxLength: columns }), { minLength: 2, maxLength: 8 }),
    )
  const property = fc.property(rows, (rows) => {
    const text = stripVTControlCharacters(table(rows)).split('\n')
    return (
      text.length === rows.length &&
      text.every((line, index) => line.trim().split(/ +/).join(' ') === rows[index].join(' ')) &&
      new Set(text.map((line) => line.length)).size === 1
    )
  })
  t.doesNotThrow(() => fc.assert(property))
})

t.test('numbers get an SI prefix and three figures', async (t) => {
  const figures: readonly (readonly [number, string])[] = [
    [0, '0 B'],
    [7, '7 B'],
    [999, '999 B'],
    [999.4, '999 B'],
    [999.5, '1.00 kB'],
    [1_000, '1.00 kB'],
    [9_994, '9.99 kB'],
    [9_996, '10.0 kB'],
    [12_345, '12.3 kB'],
    [99_949, '99.9 kB'],
    [99_951, '100 kB'],
    [999_499, '999 kB'],
    [999_500, '1.00 MB'],
    [5.5e9, '5.50 GB'],
    [1.2e12, '1.20 TB'],
    [4.2e16, '42000 TB'],
  ]
  for (const [value, text] of figures) t.equal(si(value, 'B'), text)
  t.equal(si(12_345, ''), '12.3 k')
})

t.test('a number written short is the number, to half a per cent', async (t) => {
  const prefixes: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 }
  const property = fc.property(fc.double({ min: 0, max: 999e12, noNaN: true }), (value) => {
    const match = /^(\d[\d.]{0,4}) ([kMGT]?)b$/.exec(si(value, 'b'))
    if (match === null) return false
    const read = Number(match[1]) * prefixes[match[2]]
    return Math.abs(read - value) <= Math.max(0.5, value * 0.005)
  })
  t.doesNotThrow(() => fc.assert(property, { numRuns: 1_000 }))
})

t.test('a duration has its two largest units', async (t) => {
  const durations: readonly (readonly [number, string])[] = [
    [0, '0 s'],
    [59.9, '59 s'],
    [60, '1 min 0 s'],
    [200, '3 min 20 s'],
    [3_599, '59 min 59 s'],
    [3_600, '1 h 0 min'],
    [86_399, '23 h 59 min'],
    [86_400, '1 d 0 h'],
    [190_000, '2 d 4 h'],
  ]
  for (const [seconds, text] of durations) t.equal(duration(seconds), text)
})
