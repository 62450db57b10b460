import { openSync } from 'node:fs'
import t from 'tap'
import { LineWriter, linesWritten } from '../../../src/cli/line-writer.js'
import { noLostLines } from '../../../src/control/faults.js'
import { Fifo } from '../../support/fifo.js'

/** A writer whose lines are numbers, and `lost <n>`. */
function numbers(fd: number) {
  const lost = noLostLines()
  const writer = new LineWriter(fd, { lost, tell: (lines) => `lost ${lines}\n` })
  let next = 0
  return {
    lost,
    writer,
    more: (lines: number, pad = '') => {
      for (let i = 0; i < lines; i++) writer.write(`${next++} ${pad}\n`)
      return next
    },
  }
}

/** Checks that the numbers come in order, and that the lines about lost ones fill the gaps. */
function missing(text: string): number {
  let next = 0
  let lost = 0
  for (const line of text.trimEnd().split('\n')) {
    const [first, second] = line.split(' ')
    if (first === 'lost') {
      next += Number(second)
      lost += Number(second)
    } else if (Number(first) === next) next++
    else throw new Error(`${line.slice(0, 20)} where ${next} was to come`)
  }
  return lost
}

t.test(
  'a reader that stands still costs lines, which are counted and told where they are missing',
  async (t) => {
    using fifo = new Fifo()
    const { lost, writer, more } = numbers(fifo.writeFd)
    const pad = 'x'.repeat(100)
    const startedMs = performance.now()
    more(10_000, pad)
    t.ok(performance.now() - startedMs < 1_000, 'no write has waited')
    const text = await fifo.read()
    t.ok(lost.reader_slow > 1_000, `${lost.reader_slow}`)
    t.equal(missing(text), lost.reader_slow, 'told without a further line')
    more(10_000, pad)
    const rest = await fifo.read()
    more(1)
    const whole = text + rest + (await fifo.read())
    t.equal(missing(whole), lost.reader_slow)
    t.match(whole, /\n20000 \n$/)
    await writer.idle()
    t.same({ ...lost, reader_slow: 0 }, noLostLines(), 'for no other reason')
  },
)

t.test('a line that is longer than all that may wait is written', async (t) => {
  using fifo = new Fifo()
  const { lost, more } = numbers(fifo.writeFd)
  more(1, 'x'.repeat(1_000_000))
  more(1)
  await fifo.read()
  more(1)
  t.match(await fifo.read(), /^2 \n$|^lost 1\n2 \n$/)
  t.ok(lost.reader_slow <= 1)
})

t.test('a disk that is full, a reader that is gone', async (t) => {
  const full = numbers(openSync('/dev/full', 'w'))
  full.more(100)
  await full.writer.idle()
  full.more(1)
  await full.writer.idle()
  t.same(full.lost, { ...noLostLines(), no_space: 101 })
  using fifo = new Fifo()
  const gone = numbers(fifo.writeFd)
  fifo.closeReader()
  gone.more(3)
  await gone.writer.idle()
  t.same(gone.lost, { ...noLostLines(), reader_gone: 3 })
})

t.test('the end waits for what waits, and for a second where nobody reads', async (t) => {
  using read = new Fifo()
  const { more } = numbers(read.writeFd)
  more(100)
  await linesWritten()
  t.equal((await read.read(50)).split('\n').length, 101)
  using stopped = new Fifo()
  numbers(stopped.writeFd).more(2_000, 'x'.repeat(100))
  const startedMs = performance.now()
  await linesWritten()
  const tookMs = performance.now() - startedMs
  t.ok(tookMs > 900 && tookMs < 3_000, `${tookMs} ms`)
  await stopped.read()
})
