import t from 'tap'
import { KeptFile } from '../../../src/control/kept-file.js'

/** In a directory that may be full. */
function made() {
  const time = { nowMs: 0 }
  const disk = { isFull: false, isBroken: false, tries: 0, text: '' }
  const seen = { failed: 0, faults: [] as unknown[] }
  const content = { text: 'first' }
  const file = new KeptFile({
    platform: {
      clock: { nowMs: () => time.nowMs },
      state: {
        replace: async (_name: string, text: string) => {
          disk.tries++
          if (disk.isBroken) throw new Error('broken')
          if (!disk.isFull) disk.text = text
          return !disk.isFull
        },
      },
    } as never,
    faults: { take: (_place: string, error: unknown) => seen.faults.push(error) } as never,
    name: 'file',
    leastMs: 5_000,
    text: () => content.text,
    failed: () => seen.failed++,
  })
  const pass = async (seconds: number) => {
    for (let second = 0; second < seconds; second++) {
      time.nowMs += 1_000
      file.tick()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return { file, disk, seen, content, pass }
}

t.test('nothing is written without a change', async (t) => {
  const { file, disk, pass } = made()
  await pass(60)
  file.change()
  file.unchanged()
  await pass(60)
  await file.close()
  t.equal(disk.tries, 0)
})

t.test('a change is written at once, and the next ones together', async (t) => {
  const { file, disk, content, pass } = made()
  file.change()
  await pass(1)
  t.equal(disk.text, 'first')
  for (const text of ['second', 'third']) {
    content.text = text
    file.change()
    await pass(2)
  }
  t.equal(disk.tries, 1, 'not in the least time between two writes')
  await pass(2)
  t.equal(disk.text, 'third')
  await pass(60)
  t.equal(disk.tries, 2)
})

t.test('what could not be written is written later, and seldom tried meanwhile', async (t) => {
  const { file, disk, seen, pass } = made()
  disk.isFull = true
  file.change()
  await pass(600)
  t.ok(disk.tries > 1 && disk.tries <= 21, `${disk.tries} tries in ten minutes`)
  t.equal(seen.failed, disk.tries, 'told each time')
  disk.isFull = false
  await pass(31)
  t.equal(disk.text, 'first')
  const { tries } = disk
  await pass(600)
  await file.close()
  t.equal(disk.tries, tries, 'once')
})

t.test('an error is a fault, and the next change is written', async (t) => {
  const { file, disk, seen, pass } = made()
  disk.isBroken = true
  file.change()
  await pass(60)
  t.match(seen.faults, [{ message: 'broken' }])
  disk.isBroken = false
  file.change()
  await pass(6)
  t.equal(disk.text, 'first')
})

t.test('at the end it is tried once more', async (t) => {
  const { file, disk, pass } = made()
  disk.isFull = true
  file.change()
  await pass(1)
  await file.close()
  t.equal(disk.tries, 2)
})

t.test('the end waits for a write, and then writes what has changed meanwhile', async (t) => {
  const { file, disk, content } = made()
  file.change()
  file.tick()
  content.text = 'second'
  file.change()
  await file.close()
  t.equal(disk.text, 'second')
  t.equal(disk.tries, 2)
})
