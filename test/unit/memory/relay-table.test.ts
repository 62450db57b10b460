import { randomBytes } from 'node:crypto'
import t from 'tap'
import { NativeMemory } from '../../../src/linux/memory.js'
import { PART, RelayTable, relayTableBytes } from '../../../src/memory/relay-table.js'
import { relayNameOf } from '../../../src/noise/relay-name.js'

t.test('every peer is found by its name, and nobody else is', async (t) => {
  const memory = NativeMemory.allocate(relayTableBytes(256))
  const table = new RelayTable(memory, 0, 256)
  const reader = new RelayTable(memory, 0, 256)
  const names = Array.from({ length: 256 }, () => relayNameOf(randomBytes(32)))
  for (const [row, name] of names.entries()) table.set(row, name, row % 2 === 0 ? PART.member : PART.far)
  for (const [row, { low, high }] of names.entries()) {
    t.equal(reader.find(low, high), row)
    t.equal(reader.find(low ^ 1, high), -1)
    t.equal(reader.find(low, high ^ 0x4000_0000), -1)
    t.equal(reader.is(row, PART.member), row % 2 === 0)
    t.equal(reader.is(row, PART.introducer), false)
  }
  for (let row = 0; row < 256; row += 3) table.clear(row)
  for (const [row, { low, high }] of names.entries()) {
    t.equal(reader.find(low, high), row % 3 === 0 ? -1 : row)
    if (row % 3 === 0) t.notOk(reader.is(row, PART.member))
  }
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
