/**
 * One of the two threads of test/unit/memory/ring.test.ts. It runs the loop of the tunnel's workers
 * (src/worker/loop.ts). Instead of a tap and a socket, it has a source that invents records and sinks that
 * check them.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { Doorbell } from '../../src/linux/eventfd.js'
import { NativeMemory } from '../../src/linux/memory.js'
import { C, counterBlock } from '../../src/memory/counters.js'
import { DeviceReader } from '../../src/memory/device-reader.js'
import { StateWord } from '../../src/memory/plan.js'
import { RECORD_ALIGN, Ring } from '../../src/memory/ring.js'
import { Loop } from '../../src/worker/loop.js'
import { BLOCKED, DONE, MORE, type Progress, type Sink, type Source } from '../../src/worker/port.js'
import { Scratch } from '../../src/worker/scratch.js'
import { type Pace, type RingTask, type WayPlan, Word } from './ring-task.js'

const SMALL_BYTES = 512

/** More than a quiet worker takes. */
const LONG_BYTES = 1 << 20

/** One record in this many has the greatest length that the ring allows. */
const LARGEST_EVERY = 32

/** A hash of two numbers (the finalizer of MurmurHash3). */
function mix(a: number, b: number): number {
  let x = Math.imul(a, 0x9e3779b1) ^ b
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}

/** The exact length of a record in bytes: a multiple of 4, with the two words of the ring. */
function recordBytes(seed: number, index: number, maxBytes: number): number {
  const random = mix(index, seed)
  const most = Math.min(SMALL_BYTES, maxBytes)
  return random % LARGEST_EVERY === 0 ? maxBytes : 8 + (((random >>> 8) % (most - 7)) & -4)
}

const content = (index: number, word: number) =>
  (Math.imul(index, 0x9e3779b1) ^ Math.imul(word, 0x85ebca6b)) >>> 0

/** Long enough for the other thread to get a core. */
const DOZE_MS = 0.05

/** Pseudo-random numbers of one thread. */
class Chance {
  #count = 0
  readonly #seed: number
  readonly #bed = new Int32Array(new SharedArrayBuffer(4))

  constructor(seed: number) {
    this.#seed = seed
  }

  random(): number {
    return mix(++this.#count, this.#seed)
  }

  /** True once in `every` calls on average; never if `every` is 0. */
  strikes(every: number): boolean {
    return every > 0 && this.random() % every === 0
  }

  doze(every: number): void {
    if (this.strikes(every)) Atomics.wait(this.#bed, 0, 0, DOZE_MS)
  }
}

/** Makes the records of one way, in either thread. Only one thread may make records at a time. */
class MakingSource implements Source {
  readonly fd: number
  readonly recordBytes: number
  filledBytes = 0
  readonly #own: WayPlan
  readonly #other: WayPlan
  readonly #pace: Pace
  readonly #memory: NativeMemory
  readonly #words: number
  /** Whether these are the records of the other thread's way. */
  readonly #helps: boolean
  readonly #supply: Doorbell
  readonly #otherSupply: Doorbell
  readonly #chance: Chance

  constructor(task: RingTask, way: WayPlan, memory: NativeMemory, chance: Chance) {
    this.fd = way.supplyFd
    this.recordBytes = task.dataBytes / 2
    this.#own = way
    this.#other = way === task.own ? task.other : task.own
    this.#pace = task.pace
    this.#memory = memory
    this.#words = way.words >>> 2
    this.#helps = way === task.other
    this.#supply = new Doorbell(way.supplyFd)
    this.#otherSupply = new Doorbell(this.#other.supplyFd)
    this.#chance = chance
  }

  fill(ring: Ring): Progress {
    const { i32 } = this.#memory
    if (Atomics.exchange(i32, this.#words + Word.making, 1) !== 0) throw new Error('two make records')
    const progress = this.#make(ring)
    Atomics.store(i32, this.#words + Word.making, 0)
    return progress
  }

  #make(ring: Ring): Progress {
    const pace = this.#pace
    const { i32, u32 } = this.#memory
    this.filledBytes = 0
    if (!this.#maySend()) {
      this.#supply.silence()
      if (!this.#maySend()) return DONE
    }
    this.#chance.doze(pace.fill)
    const made = i32[this.#words + Word.made]
    const bytes = recordBytes(this.#own.seed, made, this.recordBytes)
    const least = (bytes + RECORD_ALIGN - 1) & -RECORD_ALIGN
    const spare = (this.#chance.random() % (this.recordBytes - least + 1)) & -RECORD_ALIGN
    const record = ring.reserve(least + spare)
    if (record < 0) {
      this.#chance.doze(pace.gap)
      return BLOCKED
    }
    for (let word = 2; word < bytes >>> 2; word++) u32[(record >>> 2) + word] = content(made, word)
    ring.commit(bytes)
    i32[this.#words + Word.made] = made + 1
    if (this.#helps) i32[this.#words + Word.madeByOther]++
    this.filledBytes = this.#chance.strikes(pace.long) ? LONG_BYTES : 0
    if (this.#chance.strikes(pace.poke)) this.#otherSupply.ring()
    this.#chance.doze(pace.handOver)
    return MORE
  }

  #maySend(): boolean {
    const { records, lead, burst } = this.#own
    const { i32 } = this.#memory
    const made = i32[this.#words + Word.made]
    if (made === records) return false
    if (made >= Atomics.load(i32, (this.#other.words >>> 2) + Word.taken) + lead) return false
    return made % burst !== 0 || made === Atomics.load(i32, this.#words + Word.taken)
  }

  handleError(): void {}
}

/**
 * Takes the records of one way, in either thread. Each record must be the next one and complete. Only one
 * thread may take records at a time.
 */
class CheckingSink implements Sink {
  /** The fd that the other way's source reads, as in the tunnel. An eventfd is always writable. */
  readonly fd: number
  readonly blockedFd: number
  readonly #way: WayPlan
  readonly #memory: NativeMemory
  readonly #pace: Pace
  readonly #maxBytes: number
  /** Whether the other thread is the ring's producer. */
  readonly #helps: boolean
  readonly #supply: Doorbell
  /** The supply of the other way, if that way waits for records of this one. */
  readonly #backSupply: Doorbell | undefined
  readonly #chance: Chance
  #stays = false

  constructor(task: RingTask, way: WayPlan, memory: NativeMemory, chance: Chance) {
    this.#way = way
    this.#memory = memory
    this.#pace = task.pace
    this.#maxBytes = task.dataBytes / 2
    this.#helps = way === task.other
    const back = way === task.own ? task.other : task.own
    this.fd = back.supplyFd
    this.blockedFd = back.supplyFd
    this.#supply = new Doorbell(way.supplyFd)
    this.#backSupply = Number.isFinite(back.lead) ? new Doorbell(back.supplyFd) : undefined
    this.#chance = chance
  }

  drain(ring: Ring): Progress {
    const { i32 } = this.#memory
    const words = this.#way.words >>> 2
    if (!this.#stays && Atomics.exchange(i32, words + Word.busy, 1) !== 0) throw new Error('two at a time')
    this.#stays = false
    const record = ring.peek()
    if (record >= 0) {
      this.#chance.doze(this.#pace.drain)
      if (this.#chance.strikes(this.#pace.block)) {
        this.#stays = true
        return BLOCKED
      }
      const index = i32[words + Word.taken]
      this.#check(record >>> 2, index)
      ring.release()
      if (this.#helps) i32[words + Word.takenByOther]++
      Atomics.store(i32, words + Word.taken, index + 1)
      if (index + 1 === this.#way.records) parentPort?.postMessage('all have come')
      if ((index + 1) % this.#way.burst === 0) this.#supply.ring()
      this.#backSupply?.ring()
    }
    Atomics.store(i32, words + Word.busy, 0)
    return record < 0 ? DONE : MORE
  }

  #check(at: number, index: number): void {
    const { seed, records } = this.#way
    const { u32 } = this.#memory
    const bytes = recordBytes(seed, index, this.#maxBytes)
    const length = (bytes + RECORD_ALIGN - 1) & -RECORD_ALIGN
    let same = index < records && u32[at] === length
    for (let word = 2; same && word < bytes >>> 2; word++) same = u32[at + word] === content(index, word)
    if (!same) throw new Error(`record ${index} did not come as it was made`)
  }
}

const task = workerData as RingTask
const memory = new NativeMemory(task.memory)
const chance = new Chance(task.own.seed + 1)
const way = (plan: WayPlan) => ({
  ring: new Ring(memory, plan.ring, task.dataBytes, new Doorbell(plan.bellFd)),
  sink: new CheckingSink(task, plan, memory, chance),
})
const otherBell = new Doorbell(task.other.bellFd)
const other = {
  ...way(task.other),
  ring: new Ring(memory, task.other.ring, task.dataBytes, otherBell),
}
const counters = counterBlock(memory, task.counters)
const { shares } = task
const loop = new Loop({
  source: new MakingSource(task, task.own, memory, chance),
  reader: shares && new DeviceReader(memory, task.state),
  device: shares === 'borrows' ? new MakingSource(task, task.other, memory, chance) : undefined,
  own: way(task.own),
  other,
  bell: new Doorbell(task.own.bellFd),
  otherBell,
  scratch: new Scratch(memory, task.scratch),
  counters,
  woke: () => {},
  rung: () => Atomics.load(memory.i32, (task.state >>> 2) + StateWord.stop) !== 0,
})
while (!loop.ended) loop.run(-1)
counters[C.doorbells] = otherBell.rings
