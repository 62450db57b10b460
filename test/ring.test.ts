import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import t from 'tap'
import { C, counterBlock } from '../src/forward/counters.js'
import { type MemoryPlan, planMemory, StateWord } from '../src/forward/plan.js'
import { RECORD_ALIGN, Ring, ringBytes } from '../src/forward/ring.js'
import { Doorbell } from '../src/linux/eventfd.js'
import { NativeMemory } from '../src/linux/memory.js'
import type { RingTask, Role, Side } from './ring-worker.js'

/** Generous for a loaded machine: a missed wake-up lasts for ever. */
const WATCHDOG_MS = 30_000

/** What a loaded machine still comes to: how often threads meet is the scheduler's choice. */
const OFTEN = 100

const STREAM: Side = {
  records: 0,
  lead: Number.POSITIVE_INFINITY,
  fillIdle: 0,
  drainIdle: 0,
  gapIdle: 0,
  seed: 0x2545f491,
}
const SILENT: Side = { ...STREAM, seed: 0x6c078965 }

interface Exchange {
  readonly dataBytes: number
  /** Where both rings' heads and tails start, in bytes: they count modulo 2^32. */
  readonly startBytes?: number
  readonly tap: Side
  readonly udp: Side
}

interface SideCounts {
  readonly wakeUps: number
  readonly doorbells: number
  readonly ringFull: number
}

/** Lets two threads do what they are to; rejects when one finds a record wrong or they do not come to an end. */
async function exchange(options: Exchange): Promise<Record<Role, SideCounts>> {
  const plan = planMemory(options.dataBytes, 1)
  const memory = NativeMemory.allocate(plan.bytes)
  for (const ring of [plan.outbound, plan.inbound]) startAt(memory, ring, options.startBytes ?? 0)
  const bells = { tap: Doorbell.open(), udp: Doorbell.open() }
  const idle = Doorbell.open()
  const start = (role: Role, own: Side, other: Side) => {
    const bellFds = { tap: bells.tap.fd, udp: bells.udp.fd }
    const task: RingTask = { role, memory: memory.memory, plan, own, other, bellFds, idleFd: idle.fd }
    return new Worker(new URL('./ring-worker.js', import.meta.url), { workerData: task })
  }
  const workers = [start('tap', options.tap, options.udp), start('udp', options.udp, options.tap)]
  const exits = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)))
  let watchdog: NodeJS.Timeout | undefined
  try {
    const late = new Promise<never>((_, reject) => {
      watchdog = setTimeout(() => reject(new Error(`stuck: ${describe(memory, plan)}`)), WATCHDOG_MS)
    })
    const finished = workers.map(
      (worker) => new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject)),
    )
    await Promise.race([Promise.all(finished), late])
  } finally {
    clearTimeout(watchdog)
    Atomics.store(memory.i32, (plan.state >>> 2) + StateWord.stop, 1)
    bells.tap.ring()
    bells.udp.ring()
    await Promise.all(exits)
    for (const bell of [bells.tap, bells.udp, idle]) bell.close()
  }
  return { tap: counts(memory, plan, 'tap'), udp: counts(memory, plan, 'udp') }
}

/** Sets the head and the tail, the first words of the ring's first two cache lines. */
function startAt(memory: NativeMemory, ring: number, bytes: number): void {
  memory.u32[ring >>> 2] = bytes
  memory.u32[(ring + 64) >>> 2] = bytes
}

function counts(memory: NativeMemory, plan: MemoryPlan, role: Role): SideCounts {
  const block = counterBlock(memory, plan[role].counters)
  return { wakeUps: block[C.wakeUps], doorbells: block[C.doorbells], ringFull: block[C.ringFull] }
}

function describe(memory: NativeMemory, plan: MemoryPlan): string {
  const words = (ring: number) => [0, 16, 32, 33].map((word) => memory.u32[(ring >>> 2) + word]).join(' ')
  return `head, tail, consumer sleeps, producer sleeps: out ${words(plan.outbound)}; in ${words(plan.inbound)}`
}

t.test('two threads, two million records at full speed both ways, counting past 2^32', async (t) => {
  const dataBytes = 16 * 1024
  const side = { ...STREAM, records: 1_000_000 }
  const startBytes = 2 ** 32 - 10 * dataBytes + 64
  const { tap, udp } = await exchange({ dataBytes, startBytes, tap: side, udp: { ...side, seed: 99 } })
  t.ok(tap.ringFull + udp.ringFull > 0, 'a ring was full')
  t.ok(tap.wakeUps + udp.wakeUps > 0, 'a thread slept')
})

t.test('the smallest ring there is, full after two records, counting past 2^31', async (t) => {
  const producer = { ...STREAM, records: 150_000, gapIdle: 300 }
  const startBytes = 2 ** 31 - 128 * 1000 + 64
  const consumer = { ...SILENT, gapIdle: 300 }
  const { tap, udp } = await exchange({ dataBytes: 128, startBytes, tap: producer, udp: consumer })
  t.ok(tap.ringFull > OFTEN, 'the ring was full again and again')
  t.ok(tap.wakeUps > OFTEN && udp.wakeUps > OFTEN, 'both threads slept')
})

t.test('a slow producer: the consumer sleeps on an empty ring, and is woken', async (t) => {
  const producer = { ...STREAM, records: 60_000, fillIdle: 6_000 }
  const { tap, udp } = await exchange({ dataBytes: 16 * 1024, tap: producer, udp: SILENT })
  t.ok(udp.wakeUps > OFTEN, 'the consumer slept often')
  t.ok(tap.doorbells >= udp.wakeUps - 1, 'each wake-up but that to stop is by the bell')
})

t.test('a slow consumer: the producer sleeps on a full ring, and is woken', async (t) => {
  const producer = { ...STREAM, records: 60_000 }
  const consumer = { ...SILENT, drainIdle: 6_000 }
  const { tap, udp } = await exchange({ dataBytes: 16 * 1024, tap: producer, udp: consumer })
  t.ok(tap.wakeUps > OFTEN, 'the producer slept often')
  t.ok(udp.doorbells >= tap.wakeUps - 1, 'each wake-up but that to stop is by the bell')
  t.ok(udp.doorbells <= tap.ringFull, 'the bell rings only for a producer that waits')
})

t.test('question and answer: both threads sleep for each record, and each is woken', async (t) => {
  const asks = { ...STREAM, records: 25_000, lead: 1, fillIdle: 300, drainIdle: 300, gapIdle: 20_000 }
  const answers = { ...asks, lead: 0, seed: 99 }
  const { tap, udp } = await exchange({ dataBytes: 16 * 1024, tap: asks, udp: answers })
  t.ok(tap.wakeUps > OFTEN && udp.wakeUps > OFTEN, 'both slept often')
  t.ok(tap.doorbells > OFTEN && udp.doorbells > OFTEN, 'both woke the other often')
})

interface ModelRecord {
  readonly offset: number
  /** As committed, and rounded up as the ring keeps it. */
  readonly bytes: number
  readonly length: number
  readonly kind: number
  readonly fill: number
}

type Step =
  | { readonly do: 'reserve' | 'commit'; readonly share: number }
  | { readonly do: 'release' | 'consumer sleeps' | 'producer sleeps' }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('reserve' as const), share: share() }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('commit' as const), share: share() }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('release' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('consumer sleeps', 'producer sleeps') }) },
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
  /** Who has said that it sleeps, and has not been rung for since. */
  #sleeps = { consumer: false, producer: false }

  constructor(memory: NativeMemory, dataBytes: number, startBytes: number) {
    const ring = 64
    this.#memory = memory
    this.#dataBytes = dataBytes
    this.#data = ring + ringBytes(0)
    startAt(memory, ring, startBytes)
    this.ring = new Ring(memory, ring, dataBytes, {
      consumer: { ring: () => this.#wake('consumer') },
      producer: { ring: () => this.#wake('producer') },
    })
  }

  #wake(side: 'consumer' | 'producer'): void {
    check(this.#sleeps[side], `the ${side}'s bell rang and it did not sleep`)
    this.#sleeps[side] = false
  }

  take(step: Step): void {
    if (step.do === 'reserve') this.#reserve(step.share)
    else if (step.do === 'commit') this.#commit(step.share)
    else if (step.do === 'release') this.#release()
    else if (step.do === 'consumer sleeps') this.#consumerSleeps()
    else this.#producerSleeps()
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
    const kind = 1 + (this.#fill & 3)
    this.#fill = (this.#fill + 1) & 0xff
    this.#memory.u8.fill(this.#fill, offset + 8, offset + bytes)
    this.ring.commit(bytes, kind)
    const length = Math.ceil(bytes / RECORD_ALIGN) * RECORD_ALIGN
    this.#records.push({ offset, bytes, length, kind, fill: this.#fill })
    this.#reserved = undefined
    check(!this.#sleeps.consumer, 'the consumer sleeps on')
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
    check(u32[record >>> 2] === oldest.length && u32[(record >>> 2) + 1] === oldest.kind, 'length or kind')
    const content = u8.subarray(record + 8, record + oldest.bytes)
    check(
      content.every((byte) => byte === oldest.fill),
      'the content',
    )
    this.ring.release()
    this.#records.shift()
    check(!(this.#sleeps.producer && this.ring.usedBytes * 2 <= this.#dataBytes), 'the producer sleeps on')
  }

  #consumerSleeps(): void {
    this.#sleeps.consumer = this.ring.consumerMaySleep()
    check(
      this.#sleeps.consumer === (this.#records.length === 0),
      'the consumer sleeps exactly when it is empty',
    )
  }

  #producerSleeps(): void {
    this.ring.peek()
    this.#sleeps.producer = this.ring.producerMaySleep(this.ring.maxRecordBytes)
    const fits = this.#fits(this.ring.maxRecordBytes)
    check(this.#sleeps.producer === !fits, 'the producer sleeps exactly when there is no room')
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
    ring.commit(RECORD_ALIGN * (1 + (turn % 31)), 1)
    if (ring.peek() < 0) t.fail(`nothing there at turn ${turn}`)
    ring.release()
  }
  t.equal(ring.usedBytes, 0)
  t.equal(ring.peek(), -1)
})
