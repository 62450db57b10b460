import fc from 'fast-check'
import t from 'tap'
import { NativeMemory } from '../../../src/linux/memory.js'
import { REPLAY_WINDOW_BYTES, REPLAY_WINDOW_SIZE, ReplayWindow } from '../../../src/memory/replay-window.js'

const AT = 128
const memory = NativeMemory.allocate(AT + REPLAY_WINDOW_BYTES)
const LIMIT = 2n ** 64n - 2n ** 13n - 1n

/** What the window must do, said with a set of all that was ever seen. */
class Model {
  readonly #seen = new Set<bigint>()
  #greatest = 0n

  accept(number: bigint): boolean {
    if (number >= LIMIT || this.#seen.has(number)) return false
    if (this.#greatest - number >= BigInt(REPLAY_WINDOW_SIZE)) return false
    this.#seen.add(number)
    if (number > this.#greatest) this.#greatest = number
    return true
  }
}

function fresh() {
  const window = new ReplayWindow(memory)
  window.clear(AT)
  return (number: bigint) => window.accept(AT, Number(number >> 32n), Number(number & 0xffff_ffffn))
}

t.test('it is wide enough, and its size is what counts as too old', async (t) => {
  t.ok(REPLAY_WINDOW_SIZE >= 8192)
  const accept = fresh()
  t.ok(accept(100_000n))
  t.ok(accept(100_000n - BigInt(REPLAY_WINDOW_SIZE) + 1n))
  t.notOk(accept(100_000n - BigInt(REPLAY_WINDOW_SIZE)))
})

t.test('in any order, around any carry: the same as a set of all that came', async () => {
  const base = fc.constantFrom(0n, 2n ** 31n, 2n ** 32n, 2n ** 33n, 2n ** 53n, 2n ** 63n, LIMIT - 10_000n)
  const step = fc.oneof(
    fc.integer({ min: -40, max: 40 }),
    fc.integer({ min: -20_000, max: 20_000 }),
    fc.constantFrom(31, 32, 33, 16_351, 16_352, 16_353, 16_384, -16_351, -16_352, 2 ** 20),
  )
  const property = fc.property(base, fc.array(step, { maxLength: 300 }), (start, steps) => {
    const accept = fresh()
    const model = new Model()
    let number = start
    for (const by of steps) {
      number += BigInt(by)
      if (number < 0n) number = 0n
      if (number >= 2n ** 64n) number = 2n ** 64n - 1n
      if (accept(number) !== model.accept(number)) return false
      if (accept(number)) return false
    }
    return true
  })
  fc.assert(property, { numRuns: 300 })
})

t.test('the last numbers are never accepted', async (t) => {
  const accept = fresh()
  t.ok(accept(LIMIT - 1n))
  t.notOk(accept(LIMIT))
  t.notOk(accept(2n ** 64n - 1n))
})
