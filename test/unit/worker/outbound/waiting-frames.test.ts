import fc from 'fast-check'
import t from 'tap'
import { WAITING_FRAMES_BYTES } from '../../../../src/memory/plan.js'
import { WaitingFrames } from '../../../../src/worker/outbound/waiting-frames.js'

const AT = 4096

function makeRoom() {
  const u8 = new Uint8Array(AT + WAITING_FRAMES_BYTES)
  const room = new WaitingFrames(AT, (to, from, bytes) => u8.copyWithin(to, from, from + bytes))
  return { u8, room }
}

const never = () => {
  throw new Error('a frame was given up')
}

t.test('what goes in comes out, once, in order, when its peer is ready', async () => {
  const frames = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 1500 }), row: fc.nat(3) }), {
    maxLength: 80,
  })
  const property = fc.property(frames, fc.nat(3), (wanted, ready) => {
    const { u8, room } = makeRoom()
    const inside: { bytes: number; row: number; mark: number }[] = []
    for (const [index, { bytes, row }] of wanted.entries()) {
      u8.fill(index, 0, bytes)
      if (room.put(0, bytes, row, 0, never)) inside.push({ bytes, row, mark: index })
    }
    const held = [0, 1, 2, 3].map((one) => wanted.filter(({ row }) => row === one).length)
    const least = held.reduce((sum, count) => sum + Math.min(count, 32), 0)
    if (inside.length < Math.min(least, 64)) return false
    const out: typeof inside = []
    const take = (only: number | undefined) =>
      room.leave(
        (frame, bytes, row) => {
          if (only !== undefined && row !== only) return false
          const whole = u8.subarray(frame, frame + bytes).every((byte) => byte === u8[frame])
          out.push({ bytes: whole ? bytes : -1, row, mark: u8[frame] })
          return true
        },
        1,
        never,
      )
    take(ready)
    const first = out.splice(0)
    take(undefined)
    const expected = [inside.filter(({ row }) => row === ready), inside.filter(({ row }) => row !== ready)]
    return JSON.stringify([first, out]) === JSON.stringify(expected) && room.empty
  })
  fc.assert(property)
})

t.test('what has waited for long is given up, and makes room', async (t) => {
  const { room } = makeRoom()
  const givenUp: number[] = []
  let count = 0
  for (const row of [0, 1]) while (room.put(0, 1500, row, 0, never)) count++
  t.equal(count, 64)
  t.notOk(room.put(0, 1500, 0, 5_000, never))
  t.ok(room.put(0, 1500, 1, 6_001, (row) => givenUp.push(row)))
  t.equal(givenUp.length, count)
  t.same(
    [0, 1].map((one) => givenUp.filter((row) => row === one).length),
    [32, 32],
    'each by its peer',
  )
  const left: number[] = []
  room.leave((_frame, _bytes, row) => left.push(row) > 0, 6_002, never)
  t.same(left, [1])
  t.notOk(room.put(0, WAITING_FRAMES_BYTES, 0, 0, never), 'never more than there is')
})

t.test('what waits for those that are gone is given up, and all else waits on', async (t) => {
  const { room } = makeRoom()
  for (const row of [0, 1, 2, 1]) room.put(0, 100, row, 0, never)
  const givenUp: number[] = []
  room.giveUp(
    (row) => row === 1,
    (row) => givenUp.push(row),
  )
  t.same(givenUp, [1, 1])
  const left: number[] = []
  room.leave((_frame, _bytes, row) => left.push(row) > 0, 1, never)
  t.same(left, [0, 2])
  t.ok(room.empty)
})

t.test('a peer that never answers leaves room for others, for as long as it is sent to', async (t) => {
  const { u8, room } = makeRoom()
  for (let round = 0; round < 100; round++) {
    const nowMs = round * 100
    for (let tries = 0; tries < 40; tries++) room.put(0, 1500, 0, nowMs, () => {})
    u8.fill(round, 0, 1500)
    t.ok(
      room.put(0, 1500, 1, nowMs, () => {}),
      `round ${round}`,
    )
    let left = -1
    room.leave(
      (frame, bytes, row) => {
        if (row === 1) left = u8[frame] === u8[frame + bytes - 1] ? u8[frame] : -2
        return row === 1
      },
      nowMs,
      () => {},
    )
    t.equal(left, round, 'as it was')
  }
})
