import { stripVTControlCharacters } from 'node:util'
import stringWidth from 'string-width'
import t from 'tap'
import { fittedTable, tableWithText, wrapped } from '../../../src/cli/fitted.js'

const plain = (text: string) => stripVTControlCharacters(text).split('\n')
const widest = (text: string) => Math.max(...plain(text).map((line) => stringWidth(line)))

const ROWS = [
  ['peer', 'state', 'round trip', 'group', 'endpoint'],
  ['alice', 'up', '0.412 ms', '', '198.51.100.2:5149'],
  ['bob', 'down', '41.2 ms', '', '[2001:db8::2]:5149'],
]

t.test('a table that fits has all columns', async (t) => {
  const text = fittedTable(ROWS, { columns: 80, least: ['round trip', 'state'] })
  t.same(plain(text)[0].trim().split(/ {2,}/), ROWS[0])
  t.equal(plain(text).length, 3)
  t.equal(fittedTable(ROWS, { columns: Number.POSITIVE_INFINITY, least: [] }), text)
})

t.test('a narrow terminal has fewer columns, and is told which', async (t) => {
  const least = ['round trip', 'group', 'state', 'endpoint']
  const empty = fittedTable(ROWS, { columns: 48, least })
  t.same(plain(empty)[0].trim().split(/ {2,}/), ['peer', 'state', 'round trip', 'endpoint'])
  t.equal(plain(empty).length, 3, 'an empty one is not missed')
  const narrow = fittedTable(ROWS, { columns: 32, least })
  t.same(plain(narrow)[0].trim().split(/ {2,}/), ['peer', 'state', 'endpoint'])
  t.match(
    plain(narrow).slice(3).join(' ').replace(/ +/g, ' '),
    /^not shown in 32 columns: round trip; --json has all$/,
  )
  t.ok(widest(narrow) <= 32)
  const least5 = fittedTable(ROWS, { columns: 5, least })
  t.same(plain(least5)[0].trim(), 'peer', 'at least what may not be left out')
})

t.test('a text at the end of a row goes on below its beginning', async (t) => {
  const why = 'the device did not take it because its queue was full for a tenth of a second'
  const text = tableWithText(
    [
      ['dropped', 'frames', 'because'],
      ['device_refused', '12', why],
    ],
    60,
  )
  t.ok(widest(text) <= 60)
  const [, first, second] = plain(text)
  t.match(first, /^device_refused {6}12 {2}the device/)
  t.match(second, /^ {26}\S/)
  t.equal(plain(text).slice(1).join(' ').replace(/\s+/g, ' ').trim(), `device_refused 12 ${why}`)
})

t.test('a long line is wrapped at words, and set in', async (t) => {
  t.equal(wrapped('a b c', 80), 'a b c')
  t.equal(wrapped('one two three four\nfive', 12), 'one two\n  three four\nfive')
  t.equal(wrapped('one two', Number.POSITIVE_INFINITY), 'one two')
})
