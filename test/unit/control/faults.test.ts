import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Faults, noLostLines } from '../../../src/control/faults.js'
import { systemClock } from '../../../src/control/kernel/system-clock.js'
import { MailboxReader } from '../../../src/control/mailbox-reader.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import { MAILBOX_DATA_BYTES, Mailbox } from '../../../src/memory/mailbox.js'
import { ringBytes } from '../../../src/memory/ring.js'

/** What is said of faults, by level. */
function listener() {
  const said = { warn: [] as string[], debug: [] as string[] }
  const log = {
    warn: (_fields: unknown, text?: string) => said.warn.push(String(text)),
    debug: (_fields: unknown, text?: string) => said.debug.push(String(text)),
  }
  return { said, faults: new Faults(log as never) }
}

const broken = (message: string) => () => {
  throw new Error(message)
}

t.test(
  'what is thrown is counted by where, and said once with its stack; the rest is as it was',
  async (t) => {
    const { said, faults } = listener()
    t.equal(
      faults.run('peer', () => 7),
      7,
    )
    t.match(faults.status(), { count: 0, places: {} })
    for (let i = 0; i < 5; i++) t.equal(faults.run('peer', broken('the first'), 'host-b'), undefined)
    faults.run('peer', broken('the second'))
    faults.run('keys', broken('the first'))
    faults.run('keys', () => {
      throw 'not even an error'
    })
    t.match(faults.status(), { count: 8, places: { peer: 6, keys: 2 } })
    t.equal(said.warn.length, 4)
    t.match(said.warn[0], /^a fault in looking after a peer \(host-b\): the first; the tunnel goes on/)
    t.match(said.warn[3], /not even an error/)
    t.match(said.debug[0], /faults\.test\.(ts|js)/)
  },
)

t.test('however many there are that differ, few are said', async (t) => {
  const { said, faults } = listener()
  for (let i = 0; i < 10_000; i++) faults.run('control', broken(`number ${i}`))
  t.equal(faults.status().count, 10_000)
  t.ok(said.warn.length < 20)
})

t.test('a log that throws does not make it worse', async (t) => {
  let tries = 0
  const faults = new Faults({
    warn: () => {
      tries++
      throw new Error('no space left on device')
    },
    debug: () => {},
  } as never)
  faults.run('peer', broken('one'))
  faults.run('peer', broken('one'))
  t.equal(tries, 1)
  t.same(faults.status().places, { peer: 2 })
})

t.test('lines that the log has lost are told, and are no faults', async (t) => {
  const lost = noLostLines()
  const faults = new Faults({ warn: () => {}, debug: () => {} } as never, lost)
  lost.no_space += 3
  t.match(faults.status(), { count: 0, log_lines_lost: { no_space: 3, reader_slow: 0 } })
})

const TOLD = ringBytes(MAILBOX_DATA_BYTES)
const FRAME = TOLD + 64

t.test('a message that makes trouble is taken, and so are those behind it', async (t) => {
  const memory = NativeMemory.allocate(FRAME + 64)
  const queue = new Mailbox(memory, 0, TOLD)
  for (let i = 0; i < 20; i++) queue.put(FRAME, 40, i)
  t.ok(queue.mustTell())
  const { said, faults } = listener()
  const taken: number[] = []
  let turns = 0
  const each = (peer: number) => {
    taken.push(peer)
    if (peer % 3 === 0) throw new Error('in a message')
  }
  const reader = new MailboxReader(systemClock(), queue, faults, 'control', 8, each, () => {
    turns++
    if (turns === 2) throw new Error('afterwards')
  })
  reader.wake()
  await sleep(100)
  t.same(
    taken,
    Array.from({ length: 20 }, (_, i) => i),
  )
  t.equal(turns, 3)
  t.same(faults.status().places, { control: 7, worker: 1 })
  t.equal(said.warn.length, 2)
  queue.put(FRAME, 40, 20)
  t.ok(queue.mustTell(), 'and main is told again')
  reader.close()
})

t.test('a queue gives up a message that was thrown at, whoever catches that', async (t) => {
  const queue = new Mailbox(NativeMemory.allocate(FRAME + 64), 0, TOLD)
  for (let i = 0; i < 2; i++) queue.put(FRAME, 40, i)
  t.throws(() => queue.take(10, broken('thrown')), { message: 'thrown' })
  const taken: number[] = []
  queue.take(10, (peer) => taken.push(peer))
  t.same(taken, [1])
})
