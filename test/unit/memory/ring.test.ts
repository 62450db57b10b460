import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import t from 'tap'
import { Doorbell } from '../../../src/linux/eventfd.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import { C, COUNTER_BLOCK_BYTES, counterBlock } from '../../../src/memory/counters.js'
import { SCRATCH_BYTES, STATE_BYTES, StateWord } from '../../../src/memory/plan.js'
import { RECORD_ALIGN, Ring, ringBytes } from '../../../src/memory/ring.js'
import { type Pace, type RingTask, type WayPlan, Word } from '../../support/ring-task.js'

/** Generous for a loaded machine: a missed wake-up lasts for ever. */
const WATCHDOG_MS = 10_000

/** What a loaded machine still comes to: how often threads meet is the scheduler's choice. */
const OFTEN = 50

const AT_ONCE: Pace = { poke: 0, fill: 0, handOver: 0, drain: 0, gap: 0, block: 0, long: 0 }

type Sends = Pick<WayPlan, 'records' | 'lead' | 'burst'>

interface Exchange {
  readonly dataBytes: number
  /** Where both rings' heads and tails start, in bytes: they count modulo 2^32. */
  readonly startBytes?: number
  /** Of each thread: what it sends. */
  readonly sends: readonly [Sends, Sends]
  readonly paces: readonly [Pace, Pace]
  /** Whether the second thread may read the source of the first one, while both are quiet. */
  readonly shares?: boolean
}

/** What a thread did. */
interface ThreadCounts {
  readonly wakeUps: number
  readonly doorbells: number
  readonly ringFull: number
  /** Of its records, those that the other thread took out of its ring. */
  readonly takenByOther: number
  /** Of its records, those that the other thread made. */
  readonly madeByOther: number
}

/** Lets two threads do what they are to; rejects when one finds a record wrong or they do not come to an end. */
async function exchange(options: Exchange): Promise<ThreadCounts[]> {
  const { dataBytes, startBytes = 0, paces, shares = false } = options
  let bytes = 0
  const take = (more: number) => {
    bytes += more
    return bytes - more
  }
  const state = take(STATE_BYTES)
  const bells = [Doorbell.open(), Doorbell.open()]
  const supplies = [Doorbell.open(), Doorbell.open()]
  const ways = options.sends.map((sends, index) => ({
    ...sends,
    ring: take(ringBytes(dataBytes)),
    words: take(64),
    seed: 0x2545f491 + index,
    supplyFd: supplies[index].fd,
    bellFd: bells[index].fd,
  }))
  const own = ways.map(() => ({ counters: take(COUNTER_BLOCK_BYTES), scratch: take(SCRATCH_BYTES) }))
  const memory = NativeMemory.allocate(bytes)
  for (const { ring } of ways) startAt(memory, ring, startBytes)
  for (const supply of supplies) supply.ring()

  const workers = ways.map((way, index) => {
    const common = { memory: memory.memory, dataBytes, state, ...own[index] }
    const task: RingTask = {
      ...common,
      own: way,
      other: ways[1 - index],
      pace: paces[index],
      shares: shares ? (index === 0 ? 'lends' : 'borrows') : undefined,
    }
    return new Worker(new URL('../../support/ring-worker.js', import.meta.url), { workerData: task })
  })
  const exits = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)))
  let watchdog: NodeJS.Timeout | undefined
  try {
    await new Promise<void>((resolve, reject) => {
      let underWay = ways.filter(({ records }) => records > 0).length
      const come = () => {
        if (--underWay === 0) resolve()
      }
      for (const worker of workers) worker.on('message', come).once('error', reject)
      watchdog = setTimeout(() => reject(new Error(`stuck: ${describe(memory, ways)}`)), WATCHDOG_MS)
    })
  } finally {
    clearTimeout(watchdog)
    Atomics.store(memory.i32, (state >>> 2) + StateWord.stop, 1)
    for (const bell of bells) bell.ring()
    await Promise.all(exits)
    for (const bell of [...bells, ...supplies]) bell.close()
  }
  return ways.map(({ words }, index) => {
    const counters = counterBlock(memory, own[index].counters)
    return {
      wakeUps: counters[C.wakeUps],
      doorbells: counters[C.doorbells],
      ringFull: counters[C.ringFull],
      takenByOther: memory.u32[(words >>> 2) + Word.takenByOther],
      madeByOther: memory.u32[(words >>> 2) + Word.madeByOther],
    }
  })
}

/** Sets the head and the tail, the first words of the ring's first two cache lines. */
function startAt(memory: NativeMemory, ring: number, bytes: number): void {
  memory.u32[ring >>> 2] = bytes
  memory.u32[(ring + 64) >>> 2] = bytes
}

function describe({ u32 }: NativeMemory, ways: readonly WayPlan[]): string {
  return ways
    .map(({ ring, words, records }) => {
      const [head, tail, sleeps, lock] = [0, 16, 32, 33].map((word) => u32[(ring >>> 2) + word])
      const taken = u32[(words >>> 2) + Word.taken]
      return `${taken} of ${records} taken, head ${head}, tail ${tail}, sleeps ${sleeps}, lock ${lock}`
    })
    .join('; ')
}

const ENDLESS = Number.POSITIVE_INFINITY
const stream = (records: number): Sends => ({ records, lead: ENDLESS, burst: ENDLESS })
const answers = (records: number, lead: number): Sends => ({ records, lead, burst: ENDLESS })
const bursts = (records: number, burst: number): Sends => ({ records, lead: ENDLESS, burst })

t.test('two threads, two million records at full speed both ways, counting past 2^32', async (t) => {
  const dataBytes = 16 * 1024
  const pace = { ...AT_ONCE, handOver: 2_000 }
  const [a, b] = await exchange({
    dataBytes,
    startBytes: 2 ** 32 - 10 * dataBytes + 64,
    sends: [stream(1_000_000), stream(1_000_000)],
    paces: [pace, pace],
  })
  t.ok(a.takenByOther > OFTEN && b.takenByOther > OFTEN, 'each took many of the other')
})

t.test('the smallest ring there is, full after two records, counting past 2^31', async (t) => {
  const pace = { ...AT_ONCE, handOver: 5, drain: 5, gap: 2 }
  const [a, b] = await exchange({
    dataBytes: 128,
    startBytes: 2 ** 31 - 128 * 1000 + 64,
    sends: [stream(20_000), stream(20_000)],
    paces: [pace, pace],
  })
  t.ok(a.ringFull + b.ringFull > OFTEN, 'the rings were full again and again')
})

t.test('a slow sink: who produces sleeps while the other drains its full ring, and is woken', async (t) => {
  const pace = { ...AT_ONCE, handOver: 5, drain: 5, gap: 5 }
  const [a, b] = await exchange({
    dataBytes: 1024,
    sends: [stream(20_000), stream(20_000)],
    paces: [pace, pace],
  })
  t.ok(a.takenByOther > OFTEN && b.takenByOther > OFTEN, 'each took many of the other')
  t.ok(a.wakeUps + b.wakeUps > OFTEN, 'they slept often')
  t.ok(b.doorbells <= a.ringFull && a.doorbells <= b.ringFull, 'a bell rings only for one that waits')
})

t.test('a sink that takes nothing for a while keeps its record and its place', async (t) => {
  const pace = { ...AT_ONCE, handOver: 20, drain: 20, gap: 5, block: 20 }
  const [a, b] = await exchange({
    dataBytes: 4096,
    sends: [stream(20_000), stream(20_000)],
    paces: [pace, pace],
  })
  t.ok(a.wakeUps > OFTEN && b.wakeUps > OFTEN, 'both waited for it')
})

t.test('a slow source: the thread sleeps until there is something to send, and sends it', async (t) => {
  const [, b] = await exchange({
    dataBytes: 16 * 1024,
    sends: [stream(10_000), answers(10_000, 0)],
    paces: [{ ...AT_ONCE, fill: 2 }, AT_ONCE],
  })
  t.ok(b.wakeUps > OFTEN, 'it slept often')
})

t.test('questions and answers: each thread sleeps until the other has said something', async (t) => {
  const pace = { ...AT_ONCE, handOver: 5, drain: 5 }
  const [a, b] = await exchange({
    dataBytes: 16 * 1024,
    sends: [answers(10_000, 3), answers(10_000, 0)],
    paces: [pace, pace],
  })
  t.ok(a.wakeUps > OFTEN && b.wakeUps > OFTEN, 'both slept often')
})

t.test('bursts: what comes into a ring that another drains does not stay behind unseen', async (t) => {
  const [a, b] = await exchange({
    dataBytes: 16 * 1024,
    sends: [bursts(20_000, 3), stream(0)],
    paces: [
      { ...AT_ONCE, poke: 5, handOver: 5, drain: 20 },
      { ...AT_ONCE, drain: 2 },
    ],
  })
  t.ok(a.takenByOther > OFTEN, 'the other took many')
  t.ok(a.wakeUps > OFTEN && b.wakeUps > OFTEN, 'both slept often')
})

t.test('one thread makes the records of both while little comes, and no two ever do', async (t) => {
  const slowly = { ...AT_ONCE, poke: 20, fill: 3, handOver: 5, drain: 5 }
  const [a] = await exchange({
    dataBytes: 16 * 1024,
    sends: [answers(10_000, 1), answers(10_000, 0)],
    paces: [slowly, { ...slowly, long: 200 }],
    shares: true,
  })
  t.ok(a.madeByOther > OFTEN, 'the second one made many')
  t.ok(a.madeByOther < 10_000 - OFTEN, 'so did the first one')
})

t.test('the same in small rings with sinks that take nothing for a while', async (t) => {
  const pace = { ...AT_ONCE, poke: 10, handOver: 20, drain: 20, gap: 5, block: 50 }
  const [a] = await exchange({
    dataBytes: 1024,
    startBytes: 2 ** 32 - 1024 * 100 + 64,
    sends: [answers(10_000, 1), answers(10_000, 0)],
    paces: [pace, pace],
    shares: true,
  })
  t.ok(a.madeByOther > OFTEN && a.madeByOther < 10_000 - OFTEN, 'both made many')
})

interface ModelRecord {
  readonly offset: number
  /** As committed, and rounded up as the ring keeps it. */
  readonly bytes: number
  readonly length: number
  readonly fill: number
}

type Step =
  | { readonly do: 'reserve' | 'commit'; readonly share: number }
  | { readonly do: 'release' | 'producer sleeps' | 'lock' | 'unlock' }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('reserve' as const), share: share() }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('commit' as const), share: share() }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('release' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('producer sleeps' as const, 'lock' as const, 'unlock' as const),
    }),
  },
)

/** How much of the most possible is asked for; the extremes often. */
function share(): fc.Arbitrary<number> {
  return fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true }))
}

/**
 * A ring in one thread beside an array of what must be in it. Every step checks that no record overlaps
 * another, that all come out in order as they were put in, and that bells ring exactly when they must.
 */
class Modelled {
  readonly ring: Ring
  readonly #memory: NativeMemory
  readonly #dataBytes: number
  readonly #data: number
  readonly #records: ModelRecord[] = []
  #reserved: { offset: number; bytes: number } | undefined
  #fill = 0
  /** The producer has said that it sleeps, and has not been rung for since. */
  #sleeps = false
  #locked = false

  constructor(memory: NativeMemory, dataBytes: number, startBytes: number) {
    const ring = 64
    this.#memory = memory
    this.#dataBytes = dataBytes
    this.#data = ring + ringBytes(0)
    startAt(memory, ring, startBytes)
    this.ring = new Ring(memory, ring, dataBytes, { ring: () => this.#wake() })
  }

  #wake(): void {
    check(this.#sleeps, 'the bell rang and nobody slept')
    this.#sleeps = false
  }

  take(step: Step): void {
    if (step.do === 'reserve') this.#reserve(step.share)
    else if (step.do === 'commit') this.#commit(step.share)
    else if (step.do === 'release') this.#release()
    else if (step.do === 'producer sleeps') this.#producerSleeps()
    else if (step.do === 'lock') this.#lock()
    else this.#unlock()
    this.#compare()
  }

  #reserve(share: number): void {
    const units = this.ring.maxRecordBytes / RECORD_ALIGN
    const bytes = Math.max(1, Math.round(share * units)) * RECORD_ALIGN
    let offset = this.ring.reserve(bytes)
    if (offset < 0) {
      // What was skipped at the end is given back when the consumer looks.
      this.ring.peek()
      offset = this.ring.reserve(bytes)
    }
    if (offset < 0) {
      check(!this.#fits(bytes), `${bytes} bytes were refused with room for them`)
      this.#reserved = undefined
      return
    }
    check(offset >= this.#data && offset + bytes <= this.#data + this.#dataBytes, 'reserved outside the ring')
    for (const it of this.#records) {
      check(offset + bytes <= it.offset || offset >= it.offset + it.length, 'reserved what is in use')
    }
    this.#reserved = { offset, bytes }
    this.#memory.u8.fill(0xee, offset, offset + bytes)
  }

  /** Whether a record must fit in one piece, before the end or from the start on. */
  #fits(bytes: number): boolean {
    const [oldest] = this.#records
    const newest = this.#records.at(-1)
    if (oldest === undefined || newest === undefined) return true
    const next = newest.offset + newest.length
    const end = this.#data + this.#dataBytes
    return next <= oldest.offset
      ? bytes <= oldest.offset - next
      : bytes <= end - next || bytes <= oldest.offset - this.#data
  }

  #commit(share: number): void {
    if (this.#reserved === undefined) return
    const { offset, bytes: most } = this.#reserved
    const bytes = 8 + Math.round(share * (most - 8))
    this.#fill = (this.#fill + 1) & 0xff
    this.#memory.u8.fill(this.#fill, offset + 8, offset + bytes)
    this.ring.commit(bytes)
    const length = Math.ceil(bytes / RECORD_ALIGN) * RECORD_ALIGN
    this.#records.push({ offset, bytes, length, fill: this.#fill })
    this.#reserved = undefined
  }

  #release(): void {
    const oldest = this.#records.at(0)
    const record = this.ring.peek()
    if (oldest === undefined) {
      check(record === -1, 'a record out of nowhere')
      return
    }
    check(record === oldest.offset, 'the oldest record is elsewhere')
    const { u8, u32 } = this.#memory
    check(u32[record >>> 2] === oldest.length, 'length')
    const content = u8.subarray(record + 8, record + oldest.bytes)
    check(
      content.every((byte) => byte === oldest.fill),
      'the content',
    )
    this.ring.release()
    this.#records.shift()
    check(!(this.#sleeps && this.ring.usedBytes * 2 <= this.#dataBytes), 'the producer sleeps on')
  }

  #lock(): void {
    check(this.ring.tryLock() === !this.#locked, 'the lock is had exactly when nobody has it')
    this.#locked = true
  }

  #unlock(): void {
    this.ring.unlock()
    this.#locked = false
  }

  #producerSleeps(): void {
    this.ring.peek()
    this.#sleeps = this.ring.producerMaySleep(this.ring.maxRecordBytes)
    const fits = this.#fits(this.ring.maxRecordBytes)
    check(this.#sleeps === !fits, 'the producer sleeps exactly when there is no room')
    this.#reserved = undefined
  }

  #compare(): void {
    const inRecords = this.#records.reduce((sum, { length }) => sum + length, 0)
    const { usedBytes, highWaterBytes } = this.ring
    check(usedBytes >= inRecords && usedBytes <= this.#dataBytes, 'used bytes')
    check(highWaterBytes >= usedBytes && highWaterBytes <= this.#dataBytes, 'the high-water mark')
  }
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(what)
}

t.test('whatever is reserved, committed and released in whatever order, the ring is an array', async (t) => {
  const sizes = fc.constantFrom(128, 256, 1024, 4096)
  const starts = fc
    .constantFrom(0, 2 ** 31 - 256, 2 ** 32 - 256)
    .chain((start) => fc.nat(64).map((units) => (start + units * RECORD_ALIGN) % 2 ** 32))
  const steps = fc.array(step, { size: 'max', maxLength: 300 })
  const property = fc.property(sizes, starts, steps, (dataBytes, startBytes, steps) => {
    const modelled = new Modelled(NativeMemory.allocate(64 + ringBytes(dataBytes)), dataBytes, startBytes)
    for (const step of steps) modelled.take(step)
  })
  t.doesNotThrow(() => fc.assert(property, { numRuns: 3_000 }))
})

t.test('an empty ring has room for the largest record wherever it stands', async (t) => {
  const dataBytes = 4096
  const ring = new Ring(NativeMemory.allocate(ringBytes(dataBytes)), 0, dataBytes)
  for (let turn = 0; turn < 1_000; turn++) {
    if (ring.reserve(ring.maxRecordBytes) < 0) t.fail(`no room at turn ${turn}`)
    ring.commit(RECORD_ALIGN * (1 + (turn % 31)))
    if (ring.peek() < 0) t.fail(`nothing there at turn ${turn}`)
    ring.release()
  }
  t.equal(ring.usedBytes, 0)
  t.equal(ring.peek(), -1)
})
