import t from 'tap'
import { TwoCopies } from '../../../src/memory/two-copies.js'

t.test('each change switches to the other copy', async (t) => {
  const words = new Int32Array(8)
  const writer = new TwoCopies(words, 0, 2, 3)
  const reader = new TwoCopies(words, 0, 2, 3)
  t.equal(reader.at(reader.changes), 2)
  t.equal(writer.at(writer.changes + 1), 5, 'the next change is written to the other one')
  writer.change()
  t.equal(reader.changes, 1)
  t.equal(reader.at(reader.changes), 5)
  writer.change()
  t.equal(reader.at(reader.changes), 2)
})

t.test('it goes on after the greatest number', async (t) => {
  const words = Int32Array.of(2 ** 31 - 1, 0)
  const copies = new TwoCopies(words, 0, 0, 10)
  t.equal(copies.at(copies.changes), 10)
  copies.change()
  t.equal(copies.at(copies.changes), 0)
  t.equal(words[0], -(2 ** 31))
})
