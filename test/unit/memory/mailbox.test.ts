import t from 'tap'
import { NativeMemory } from '../../../src/linux/memory.js'
import { HEAD_BYTES, MAILBOX_DATA_BYTES, Mailbox } from '../../../src/memory/mailbox.js'
import { ringBytes } from '../../../src/memory/ring.js'

const TOLD = ringBytes(MAILBOX_DATA_BYTES)
const FRAME = TOLD + 64

/** A queue, and a place behind it for a frame of up to 2,000 bytes. */
function queueAndFrame() {
  const memory = NativeMemory.allocate(FRAME + 2048)
  const write = (bytes: number, fill: number) => memory.u8.fill(fill, FRAME, FRAME + bytes)
  const queue = new Mailbox(memory, 0, TOLD)
  const put = (bytes: number, row: number, fill = 0) => {
    write(bytes, fill)
    return queue.put(FRAME, bytes, row)
  }
  return { queue, put }
}

t.test('what a worker puts in main takes out: the row, the length, and the first bytes', async (t) => {
  const { queue, put } = queueAndFrame()
  t.ok(put(30, 7, 0xaa))
  t.ok(put(1400, 255, 0xbb))
  t.ok(put(0, 0))
  const taken: unknown[] = []
  const more = queue.take(10, (row, head, bytes) =>
    taken.push([row, bytes, head.length, head[head.length - 1]]),
  )
  t.notOk(more)
  t.same(taken, [
    [7, 30, 30, 0xaa],
    [255, 1400, HEAD_BYTES, 0xbb],
    [0, 0, 0, undefined],
  ])
})

t.test('main is told once, until it looks', async (t) => {
  const { queue, put } = queueAndFrame()
  put(30, 1)
  t.ok(queue.mustTell())
  put(30, 1)
  t.notOk(queue.mustTell(), 'it knows')
  t.ok(queue.take(1, () => {}))
  put(30, 1)
  t.notOk(queue.mustTell(), 'it comes back for what it has left')
  t.notOk(queue.take(2, () => {}))
  put(30, 1)
  t.ok(queue.mustTell(), 'it may have looked before that one came')
})

t.test('main takes no more than it likes, and hears that there is more', async (t) => {
  const { queue, put } = queueAndFrame()
  for (let i = 0; i < 5; i++) put(30, i)
  const rows: number[] = []
  t.ok(queue.take(3, (row) => rows.push(row)))
  t.notOk(queue.take(3, (row) => rows.push(row)))
  t.same(rows, [0, 1, 2, 3, 4])
})

t.test('a full queue takes nothing, and what is in it stays whole', async (t) => {
  const { queue, put } = queueAndFrame()
  let count = 0
  while (put(1400, count & 0xff, count & 0xff)) count++
  t.ok(count > 100, `${count} frames`)
  t.notOk(put(1400, 9))
  let seen = 0
  queue.take(1_000_000, (row, head) => {
    if (row !== (seen & 0xff) || head.some((byte) => byte !== (seen & 0xff))) t.fail(`frame ${seen}`)
    seen++
  })
  t.equal(seen, count)
  t.ok(put(30, 9), 'there is room again')
})
