import { randomBytes } from 'node:crypto'
import t from 'tap'
import { NativeMemory } from '../../../src/linux/memory.js'
import { PART, RelayTable, relayTableBytes } from '../../../src/memory/relay-table.js'
import { relayNameOf } from '../../../src/noise/relay-name.js'

t.test('every peer is found by its name, and nobody else is', async (t) => {
  const rows = 4_096
  const memory = NativeMemory.allocate(relayTableBytes(rows))
  const table = new RelayTable(memory, 0, rows)
  const reader = new RelayTable(memory, 0, rows)
  const make = () => Array.from({ length: rows }, () => relayNameOf(randomBytes(32)))
  const wrong = (names: ReturnType<typeof make>, rowOf: (row: number) => number) =>
    names.flatMap(({ low, high }, row) =>
      reader.find(low, high) === rowOf(row) &&
      reader.find(low ^ 1, high) === -1 &&
      reader.find(low, high ^ 0x4000_0000) === -1
        ? []
        : row,
    )
  let names = make()
  // Each row gets another name several times, so that the index is made anew.
  for (let turn = 0; turn < 5; turn++) {
    const before = names
    names = make()
    for (const [row, name] of names.entries()) table.set(row, name, row % 2 === 0 ? PART.member : PART.far)
    t.same(
      wrong(names, (row) => row),
      [],
    )
    if (turn > 0)
      t.same(
        wrong(before, () => -1),
        [],
      )
  }
  t.ok(reader.is(4_094, PART.member) && !reader.is(4_094, PART.introducer) && !reader.is(4_095, PART.member))
  for (let row = 0; row < rows; row += 3) table.clear(row)
  t.same(
    wrong(names, (row) => (row % 3 === 0 ? -1 : row)),
    [],
  )
  t.notOk(reader.is(0, PART.member))
})

t.test('names that fall on one place are told apart', async (t) => {
  const memory = NativeMemory.allocate(relayTableBytes(4))
  const table = new RelayTable(memory, 0, 4)
  for (let row = 0; row < 4; row++) table.set(row, { low: 32 * row, high: row }, PART.member)
  for (let row = 0; row < 4; row++) t.equal(table.find(32 * row, row), row)
  t.equal(table.find(0, 1), -1)
})

t.test('a name has 31 bits in its second word', async (t) => {
  for (let tries = 0; tries < 100; tries++) t.ok(relayNameOf(randomBytes(32)).high >= 0)
})
