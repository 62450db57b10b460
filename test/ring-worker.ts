/**
 * One of the two threads of test/ring.test.ts: the loop that the tunnel's workers run (src/forward/loop.ts),
 * with a port that makes records up and checks those that come instead of reading and writing an fd.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { C, counterBlock } from '../src/forward/counters.js'
import { runLoop } from '../src/forward/loop.js'
import type { MemoryPlan } from '../src/forward/plan.js'
import { BLOCKED, DONE, MORE, type Port, type Progress } from '../src/forward/port.js'
import { RECORD_ALIGN, Ring } from '../src/forward/ring.js'
import { Scratch } from '../src/forward/scratch.js'
import { Doorbell } from '../src/linux/eventfd.js'
import { NativeMemory } from '../src/linux/memory.js'

/** What one thread is to do. */
export interface Side {
  /** Records to send. */
  readonly records: number
  /** How many more it may have sent than received: `Infinity` streams, 1 asks, 0 answers. */
  readonly lead: number
  /** Turns of an idle loop before a record is made, and before one is taken: a random number up to these. */
  readonly fillIdle: number
  readonly drainIdle: number
  /** Turns between finding a ring full or empty and saying so: what comes in between must not be missed. */
  readonly gapIdle: number
  /** Makes its records, and the other side's expectation of them. */
  readonly seed: number
}

export type Role = 'tap' | 'udp'

export interface RingTask {
  readonly role: Role
  readonly memory: WebAssembly.Memory
  readonly plan: MemoryPlan
  readonly own: Side
  readonly other: Side
  readonly bellFds: Readonly<Record<Role, number>>
  /** An eventfd that nobody rings: a port's fd that never has anything. */
  readonly idleFd: number
}

/** One record in this many is as large as the ring allows. */
const LARGEST_EVERY = 32
const SMALL_BYTES = 512

/** The sequence of records a seed stands for, the same in the thread that makes them and the one that checks. */
class Sequence {
  readonly #maxBytes: number
  #random: number
  index = -1
  /** Of the present record: true length in bytes (a multiple of 4, the ring's two words included), kind. */
  bytes = 0
  kind = 0

  constructor(seed: number, maxBytes: number) {
    this.#random = seed
    this.#maxBytes = maxBytes
  }

  /** xorshift32 (Marsaglia, 2003). */
  random(): number {
    let x = this.#random
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#random = x
    return x >>> 0
  }

  next(): void {
    this.index++
    const random = this.random()
    const most = Math.min(SMALL_BYTES, this.#maxBytes)
    this.bytes = random % LARGEST_EVERY === 0 ? this.#maxBytes : 8 + (((random >>> 8) % (most - 7)) & -4)
    this.kind = 1 + (random >>> 30)
  }

  /** What the record's word `word` holds. */
  word(word: number): number {
    return (Math.imul(this.index, 0x9e3779b1) ^ Math.imul(word, 0x85ebca6b)) >>> 0
  }
}

class CheckingPort implements Port {
  readonly fd: number
  readonly recordBytes: number
  readonly #task: RingTask
  readonly #u32: Uint32Array
  readonly #made: Sequence
  readonly #expected: Sequence
  /** Idles by chance of its own, so that the sequences stay as they are. */
  readonly #chance: Sequence
  #sent = 0
  #received = 0

  constructor(task: RingTask, memory: NativeMemory, maxRecordBytes: number) {
    this.fd = task.idleFd
    this.recordBytes = maxRecordBytes
    this.#task = task
    this.#u32 = memory.u32
    this.#made = new Sequence(task.own.seed, maxRecordBytes)
    this.#expected = new Sequence(task.other.seed, maxRecordBytes)
    this.#chance = new Sequence(task.own.seed + 1, maxRecordBytes)
    this.#made.next()
    this.#expected.next()
  }

  fill(ring: Ring): Progress {
    const { records, lead, fillIdle } = this.#task.own
    if (this.#sent === records || this.#sent >= this.#received + lead) return DONE
    this.#idle(fillIdle)
    const { bytes, kind } = this.#made
    const least = (bytes + RECORD_ALIGN - 1) & -RECORD_ALIGN
    const spare = (this.#chance.random() % (this.recordBytes - least + 1)) & -RECORD_ALIGN
    const record = ring.reserve(least + spare)
    if (record < 0) return this.#after(BLOCKED)
    for (let word = 2; word < bytes >>> 2; word++) this.#u32[(record >>> 2) + word] = this.#made.word(word)
    ring.commit(bytes, kind)
    this.#made.next()
    this.#sent++
    this.#finish()
    return MORE
  }

  drain(ring: Ring): Progress {
    const record = ring.peek()
    if (record < 0) return this.#after(DONE)
    this.#idle(this.#task.own.drainIdle)
    this.#check(record >>> 2)
    ring.release()
    this.#expected.next()
    this.#received++
    this.#finish()
    return MORE
  }

  #check(at: number): void {
    const { index, bytes, kind } = this.#expected
    const length = (bytes + RECORD_ALIGN - 1) & -RECORD_ALIGN
    let same = index < this.#task.other.records && this.#u32[at] === length && this.#u32[at + 1] === kind
    for (let word = 2; same && word < bytes >>> 2; word++) {
      same = this.#u32[at + word] === this.#expected.word(word)
    }
    if (!same) throw new Error(`the ${this.#task.role} thread did not get record ${index} as it was made`)
  }

  #idle(turns: number): void {
    if (turns > 0) for (let left = this.#chance.random() % turns; left > 0; left--) Atomics.load(this.#u32, 0)
  }

  #after(progress: Progress): Progress {
    this.#idle(this.#task.own.gapIdle)
    return progress
  }

  #finish(): void {
    const { own, other, role } = this.#task
    if (this.#sent === own.records && this.#received === other.records) parentPort?.postMessage(role)
  }

  handleError(): void {}
}

const task = workerData as RingTask
const { role, plan } = task
const memory = new NativeMemory(task.memory)
const tapBell = new Doorbell(task.bellFds.tap)
const udpBell = new Doorbell(task.bellFds.udp)
const outbound = new Ring(memory, plan.outbound, plan.ringDataBytes, { producer: tapBell, consumer: udpBell })
const inbound = new Ring(memory, plan.inbound, plan.ringDataBytes, { producer: udpBell, consumer: tapBell })
const [out, from, bell, otherBell] =
  role === 'tap' ? [outbound, inbound, tapBell, udpBell] : [inbound, outbound, udpBell, tapBell]
const counters = counterBlock(memory, plan[role].counters)
runLoop({
  port: new CheckingPort(task, memory, out.maxRecordBytes),
  out,
  in: from,
  bell,
  otherBell,
  scratch: new Scratch(memory, plan[role].scratch),
  counters,
  state: plan.state,
})
counters[C.doorbells] = otherBell.rings
