import t from 'tap'
import { Lately } from '../../../src/observe/lately.js'

t.test('an answer holds for a second', async (t) => {
  let nowMs = 0
  let asked = 0
  const lately = new Lately(
    async () => ++asked,
    () => nowMs,
  )
  t.equal(await lately.get(), 1)
  nowMs = 999
  t.equal(await lately.get(), 1)
  nowMs = 1_000
  t.equal(await lately.get(), 2)
})

t.test('whoever asks meanwhile gets the same answer, however long it takes', async (t) => {
  let nowMs = 0
  let asked = 0
  let answer: (value: number) => void = () => {}
  const lately = new Lately(
    () => {
      asked++
      return new Promise<number>((resolve) => {
        answer = resolve
      })
    },
    () => nowMs,
  )
  const first = lately.get()
  nowMs = 5_000
  const second = lately.get()
  answer(7)
  t.same(await Promise.all([first, second]), [7, 7])
  nowMs = 5_999
  t.equal(await lately.get(), 7, 'its second begins when it is made')
  t.equal(asked, 1)
})

t.test('an error is not kept', async (t) => {
  let asked = 0
  const lately = new Lately(
    async () => {
      if (++asked === 1) throw new Error('no')
      return asked
    },
    () => 0,
  )
  await t.rejects(lately.get(), /no/)
  t.equal(await lately.get(), 2)
})
