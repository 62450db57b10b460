/**
 * One of the two threads of test/unit/memory/ring.test.ts. It runs the loop of the tunnel's workers
 * (src/worker/loop.ts). Instead of a tap and a socket, it has a source that invents records and sinks that
 * check them.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { Doorbell } from '../../src/linux/eventfd.js'
import { NativeMemory } from '../../src/linux/memory.js'
import { C, counterBlock } from '../../src/memory/counters.js'
import { StateWord } from '../../src/memory/plan.js'
import { RECORD_ALIGN, Ring } from '../../src/memory/ring.js'
import { Loop } from '../../src/worker/loop.js'
import { BLOCKED, DONE, MORE, type Progress, type Sink, type Source } from '../../src/worker/port.js'
import { Scratch } from '../../src/worker/scratch.js'
import { type Pace, type RingTask, type WayPlan, Word } from './ring-task.js'

const SMALL_BYTES = 512

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

class MakingSource implements Source {
  readonly fd: number
  readonly recordBytes: number
  readonly #task: RingTask
  readonly #memory: NativeMemory
  readonly #supply: Doorbell
  readonly #otherSupply: Doorbell
  readonly #chance: Chance
  #sent = 0

  constructor(task: RingTask, memory: NativeMemory, chance: Chance) {
    this.fd = task.own.supplyFd
    this.recordBytes = task.dataBytes / 2
    this.#task = task
    this.#memory = memory
    this.#supply = new Doorbell(task.own.supplyFd)
    this.#otherSupply = new Doorbell(task.other.supplyFd)
    this.#chance = chance
  }

  fill(ring: Ring): Progress {
    const { own, pace } = this.#task
    if (!this.#maySend()) {
      this.#supply.silence()
      if (!this.#maySend()) return DONE
    }
    this.#chance.doze(pace.fill)
    const bytes = recordBytes(own.seed, this.#sent, this.recordBytes)
    const least = (bytes + RECORD_ALIGN - 1) & -RECORD_ALIGN
    const spare = (this.#chance.random() % (this.recordBytes - least + 1)) & -RECORD_ALIGN
    const record = ring.reserve(least + spare)
    if (record < 0) {
      this.#chance.doze(pace.gap)
      return BLOCKED
    }
    const { u32 } = this.#memory
    for (let word = 2; word < bytes >>> 2; word++) u32[(record >>> 2) + word] = content(this.#sent, word)
    ring.commit(bytes)
    this.#sent++
    if (this.#chance.strikes(pace.poke)) this.#otherSupply.ring()
    this.#chance.doze(pace.handOver)
    return MORE
  }

  #maySend(): boolean {
    const { own, other } = this.#task
    const { i32 } = this.#memory
    if (this.#sent === own.records) return false
    if (this.#sent >= Atomics.load(i32, (other.words >>> 2) + Word.taken) + own.lead) return false
    return this.#sent % own.burst !== 0 || this.#sent === Atomics.load(i32, (own.words >>> 2) + Word.taken)
  }

  handleError(): void {}
}

/**
 * Takes the records of one way, in either thread. Each record must be the next one and complete. Only one
 * thread may take records at a time.
 */
class CheckingSink implements Sink {
  /** An eventfd is always writable. */
  readonly fd: number
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
    this.fd = way.bellFd
    this.#way = way
    this.#memory = memory
    this.#pace = task.pace
    this.#maxBytes = task.dataBytes / 2
    this.#helps = way === task.other
    const back = way === task.own ? task.other : task.own
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
const loop = new Loop({
  source: new MakingSource(task, memory, chance),
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
