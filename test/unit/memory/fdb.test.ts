import { randomInt } from 'node:crypto'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import t from 'tap'
import { NativeMemory } from '../../../src/linux/memory.js'
import { LEARN } from '../../../src/memory/fdb.js'
import { HOLD_S, MOVES, MOVES_WITHIN_S } from '../../../src/memory/fdb-entries.js'
import { fdbBytes, PORT_LIMIT, shareOf } from '../../../src/memory/fdb-layout.js'
import { AGEING_S, FdbUpkeep } from '../../../src/memory/fdb-upkeep.js'
import { DEVICE, FLOOD } from '../../../src/memory/target.js'
import type { FdbTask, FdbTold } from '../../support/fdb-worker.js'
import { interrupted } from '../../support/interrupted.js'

const PEERS = 4
const WATCHDOG_MS = 30_000

function database(peers = PEERS) {
  const memory = NativeMemory.allocate(fdbBytes(peers))
  const fdb = new FdbUpkeep(memory, 0, peers)
  fdb.initialise(() => randomInt(2 ** 32))
  return { memory, fdb }
}

/** The key of MAC number `number`, in a VLAN. */
const high = (vlan = 0) => (vlan << 16) | 0x025a
const key = (number: number) => number | 0

t.test('it knows where each address was seen last, in each VLAN, and no other address', async (t) => {
  const port = fc.integer({ min: DEVICE, max: PEERS - 1 })
  const seen = fc.record({ mac: fc.nat(30), vlan: fc.constantFrom(0, 1, 7, 4095), port })
  const action = fc.oneof(
    { arbitrary: seen.map((it) => ({ kind: 'learn' as const, ...it })), weight: 20 },
    { arbitrary: port.map((it) => ({ kind: 'forget' as const, port: it })), weight: 1 },
  )
  const property = fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
    const { fdb } = database()
    const model = new Map<string, number>()
    let second = 0
    for (const it of actions) {
      // So slowly that no move is one too many, and quickly enough that nothing grows old.
      second += MOVES_WITHIN_S
      if (second >= AGEING_S) break
      fdb.tick(second)
      if (it.kind === 'learn') {
        fdb.learn(high(it.vlan), key(it.mac), it.port)
        model.set(`${it.vlan} ${it.mac}`, it.port)
      } else {
        fdb.forget(it.port)
        for (const [text, port] of model) if (port === it.port) model.delete(text)
      }
    }
    for (const vlan of [0, 1, 7, 4095]) {
      for (let mac = 0; mac <= 31; mac++) {
        const expected = model.get(`${vlan} ${mac}`) ?? FLOOD
        if (fdb.find(high(vlan), key(mac)) !== expected) return false
      }
    }
    const listed = [...fdb.list()].map(({ vlan, macLow, port }) => `${vlan} ${macLow} ${port}`).sort()
    const counted = [DEVICE, 0, 1, 2, 3].reduce((sum, port) => sum + fdb.countOf(port), 0)
    return (
      counted === model.size &&
      JSON.stringify(listed) === JSON.stringify([...model].map(([text, port]) => `${text} ${port}`).sort())
    )
  })
  t.doesNotThrow(() => fc.assert(property))
})

t.test('MACs are told apart by every bit, and the sign of none matters', async (t) => {
  const { fdb } = database()
  fdb.learn(0x025a, key(0x80000001), 1)
  t.equal(fdb.find(0x025a, key(0x80000001)), 1)
  for (let bit = 0; bit < 32; bit++) t.equal(fdb.find(0x025a, 0x80000001 ^ (1 << bit)), FLOOD)
  for (let bit = 0; bit < 28; bit++) t.equal(fdb.find(0x025a ^ (1 << bit), key(0x80000001)), FLOOD)
  t.same([...fdb.list()], [{ macHigh: 0x025a, macLow: 0x80000001, vlan: 0, port: 1, ageS: 0 }])
})

t.test('groups and the zero address are nobody', async (t) => {
  const { fdb } = database()
  t.equal(fdb.learn(0xffff, key(0xffffffff), 1), LEARN.ignored)
  t.equal(fdb.learn(0x0180, key(0xc2000000), 1), LEARN.ignored)
  t.equal(fdb.learn(0x0100, key(0x5e000001), 1), LEARN.ignored)
  t.equal(fdb.learn(0x0000, 0, 1), LEARN.ignored)
  t.equal(fdb.learn(high(0x0ff) & ~0xffff, 0, 1), LEARN.ignored, 'with a tag')
  t.same([...fdb.list()], [])
  t.equal(fdb.learn(0x0000, 1, 1), LEARN.learnt, 'but 00:00:00:00:00:01 is somebody')
})

t.test('an address not seen for long is forgotten, one that is seen is not', async (t) => {
  const { fdb } = database()
  const pass = (from: number, to: number, active: number) => {
    for (let second = from; second <= to; second++) {
      fdb.tick(second)
      fdb.learn(high(), key(active), 2)
    }
  }
  fdb.learn(high(), key(1), 1)
  fdb.learn(high(), key(2), 2)
  pass(1, AGEING_S, 2)
  t.equal(fdb.find(high(), key(1)), 1, `known for ${AGEING_S} seconds`)
  pass(AGEING_S + 1, AGEING_S + 10, 2)
  t.equal(fdb.find(high(), key(1)), FLOOD)
  t.equal(fdb.find(high(), key(2)), 2)
  t.same([fdb.countOf(1), fdb.countOf(2)], [0, 1])
  t.equal([...fdb.list()][0].ageS, 0)
})

t.test('a port has so many addresses and no more, and what others have stays', async (t) => {
  const { fdb } = database()
  for (let mac = 0; mac < 100; mac++) fdb.learn(high(), key(mac), 3)
  for (let mac = 1000; mac < 1000 + 20 * PORT_LIMIT; mac++) fdb.learn(high(), key(mac), 1)
  t.equal(fdb.countOf(1), PORT_LIMIT)
  t.equal(fdb.counts.full, 19 * PORT_LIMIT)
  for (let mac = 0; mac < 100; mac++) if (fdb.find(high(), key(mac)) !== 3) t.fail(`MAC ${mac} is gone`)
  t.equal(fdb.find(high(), key(1000)), 1, 'what it had first, it keeps')
  t.equal(fdb.learn(high(), key(1000 + 20 * PORT_LIMIT), 1), LEARN.full)
  fdb.forget(1)
  t.equal(fdb.countOf(1), 0)
  t.equal(fdb.learn(high(), key(1000 + 20 * PORT_LIMIT), 1), LEARN.learnt)
  t.equal(fdb.countOf(3), 100)
})

t.test('all ports full, everything is found', async (t) => {
  const peers = 255
  const { fdb } = database(peers)
  const macs = peers * PORT_LIMIT
  let refused = 0
  for (let mac = 1; mac <= macs; mac++) {
    if (fdb.learn(high(), key(Math.imul(mac, 0x9e3779b1)), mac % peers) !== LEARN.learnt) refused++
  }
  t.ok(refused < macs / 100_000, `${refused} of ${macs} found no room`)
  let lost = 0
  for (let mac = 1; mac <= macs; mac++) {
    if (fdb.find(high(), key(Math.imul(mac, 0x9e3779b1))) !== mac % peers) lost++
  }
  t.equal(lost, refused)
})

t.test('a host that moves is followed at once; one that moves to and fro is held where it is', async (t) => {
  const { fdb } = database()
  fdb.tick(1000)
  fdb.learn(high(), key(1), 0)
  t.equal(fdb.learn(high(), key(1), 1), LEARN.moved)
  t.equal(fdb.find(high(), key(1)), 1)
  t.same([fdb.countOf(0), fdb.countOf(1)], [0, 1])
  for (let move = 2; move <= MOVES; move++) {
    t.equal(fdb.learn(high(), key(1), move % 2), LEARN.moved, `move ${move}`)
  }
  const home = MOVES % 2
  t.equal(fdb.learn(high(), key(1), 1 - home), LEARN.damped)
  for (let second = 0; second < HOLD_S; second++) {
    fdb.tick(1000 + second)
    t.equal(fdb.learn(high(), key(1), 1 - home), LEARN.damped)
    t.equal(fdb.learn(high(), key(1), home), LEARN.known)
  }
  t.equal(fdb.find(high(), key(1)), home)
  t.equal(fdb.counts.moved, MOVES)
  t.equal(fdb.counts.damped, HOLD_S + 1)
  fdb.tick(1000 + HOLD_S)
  t.equal(fdb.learn(high(), key(1), 1 - home), LEARN.moved, 'after a while it may move again')
  t.equal(fdb.find(high(), key(1)), 1 - home)
})

t.test('a host that moves now and then is never held', async (t) => {
  const { fdb } = database()
  for (let move = 0; move < 50; move++) {
    fdb.tick(move * MOVES_WITHIN_S)
    fdb.learn(high(), key(1), move % 3)
    t.equal(fdb.find(high(), key(1)), move % 3)
  }
})

t.test('a host that moves to a port that is full is better everywhere than where it was', async (t) => {
  const { fdb } = database()
  for (let mac = 1; mac <= PORT_LIMIT; mac++) fdb.learn(high(), key(mac), 1)
  fdb.learn(high(), key(5000), 0)
  t.equal(fdb.learn(high(), key(5000), 1), LEARN.full)
  t.equal(fdb.find(high(), key(5000)), FLOOD)
  t.equal(fdb.countOf(0), 0)
})

t.test("who sends with the device's address is told once", async (t) => {
  const { fdb } = database()
  const pins = [
    { macHigh: high(), macLow: 1, port: DEVICE },
    { macHigh: high(), macLow: 2, port: 1 },
  ]
  fdb.pin(pins)
  fdb.learn(high(), key(1), DEVICE)
  fdb.learn(high(), key(2), 1)
  fdb.learn(high(), key(2), 2)
  fdb.learn(high(), key(3), 2)
  t.equal(fdb.takeTwin(), undefined, "another's address is another matter")
  for (const vlan of [0, 7]) {
    t.equal(fdb.learn(high(vlan), key(1), 3), LEARN.pinned)
    t.equal(fdb.takeTwin(), 3)
    t.equal(fdb.takeTwin(), undefined)
  }
  for (let mac = 10; mac < 10 + PORT_LIMIT; mac++) fdb.learn(high(), key(mac), 0)
  t.equal(fdb.learn(high(7), key(1), 0), LEARN.pinned)
  t.equal(fdb.takeTwin(), 0, 'one that has learnt all it may, too')
})

t.test('a pinned address is where configuration says, in every VLAN, as long as it says so', async (t) => {
  const { fdb } = database()
  const pin = (macLow: number, port: number) => ({ macHigh: 0x025a, macLow: macLow >>> 0, port })
  fdb.learn(high(), key(1), 2)
  fdb.learn(high(7), key(1), 2)
  fdb.pin([pin(1, 3), pin(0x80000002, 0)])
  for (const vlan of [0, 7, 8]) {
    t.equal(fdb.find(high(vlan), key(1)), 3, `VLAN ${vlan}`)
    t.equal(fdb.learn(high(vlan), key(1), 2), LEARN.pinned)
    t.equal(fdb.learn(high(vlan), key(1), 3), LEARN.known)
    t.equal(fdb.find(high(vlan), key(1)), 3)
  }
  t.equal(fdb.find(high(), key(0x80000002)), 0)
  t.same([fdb.countOf(0), fdb.countOf(2), fdb.countOf(3)], [0, 0, 0])
  for (let second = 1; second < 2 * AGEING_S; second++) fdb.tick(second)
  fdb.forget(3)
  t.equal(fdb.find(high(), key(1)), 3, 'it neither ages nor goes when its peer is down')
  t.same(
    [...fdb.list()].map(({ macLow, port, ageS }) => [macLow, port, ageS]).sort(),
    [
      [1, 3, undefined],
      [0x80000002, 0, undefined],
    ].sort(),
  )
  for (let mac = 1000; mac < 1000 + PORT_LIMIT; mac++) fdb.learn(high(), key(mac), 2)
  t.equal(fdb.learn(high(9), key(1), 2), LEARN.pinned, 'for one that has learnt all it may, too')
  fdb.forget(2)
  fdb.pin([pin(1, 2)])
  t.equal(fdb.find(high(), key(1)), 2)
  fdb.pin([])
  t.equal(fdb.find(high(), key(1)), FLOOD)
  t.equal(fdb.learn(high(), key(1), 0), LEARN.learnt)
})

/** Runs threads to their end; rejects when one fails or they do not come to an end. */
async function threads(tasks: readonly Omit<FdbTask, 'beginning' | 'threads'>[]): Promise<FdbTold[]> {
  const beginning = new Int32Array(new SharedArrayBuffer(4))
  const workers = tasks.map((it) => {
    const task: FdbTask = { ...it, beginning, threads: tasks.length }
    return new Worker(new URL('../../support/fdb-worker.js', import.meta.url), { workerData: task })
  })
  const watchdog = AbortSignal.timeout(WATCHDOG_MS)
  try {
    return await Promise.all(
      workers.map(
        (worker) =>
          new Promise<FdbTold>((resolve, reject) => {
            worker.once('message', resolve).once('error', reject)
            watchdog.addEventListener('abort', () => reject(new Error('no end')), { once: true })
          }),
      ),
    )
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
}

t.test(
  'a reader overtaken anywhere, twice, by a writer that comes to anywhere is never told wrong',
  async (t) => {
    const { memory, fdb } = database()
    const { first, second } = neighbours(memory, fdb)
    const start = memory.u8.slice()
    const asleep = new Error('the writer is put to sleep')
    /** The place of one address becomes another's; the writer gets so many stores far. */
    const replace = (mac: number, by: number, port: number, steps: number) => () => {
      const sleep = () => {
        throw asleep
      }
      try {
        interrupted('store', { [steps]: sleep }, () => {
          fdb.learn(high(), key(mac), 3)
          fdb.learn(high(), key(by), port)
        })
      } catch (error) {
        if (error !== asleep) throw error
      }
    }
    const ports = { [first]: 1, [second]: 2 }
    let cases = 0
    const look = (mac: number, interludes: Record<number, () => void>) => {
      memory.u8.set(start)
      fdb.learn(high(), key(first), ports[first])
      let told: number = FLOOD
      const loads = interrupted('load', interludes, () => {
        told = fdb.find(high(), key(mac))
      })
      if (told !== FLOOD && told !== ports[mac])
        t.fail(`told ${told}, ${JSON.stringify(Object.keys(interludes))}`)
      cases++
      return loads
    }
    const there = replace(first, second, ports[second], Number.POSITIVE_INFINITY)
    for (const mac of [first, second]) {
      for (let load = 0; load < 12; load++) {
        for (let later = load + 1; later < 12; later++) {
          for (let steps = 0; steps < 20; steps++) {
            look(mac, { [load]: there, [later]: replace(second, first, ports[first], steps) })
          }
        }
      }
    }
    t.ok(cases > 1000, `${cases} cases`)
  },
)

/** Fills port 3, and finds two addresses that are given the same place. */
function neighbours(memory: NativeMemory, fdb: FdbUpkeep): { first: number; second: number } {
  for (let mac = 1; mac <= PORT_LIMIT; mac++) fdb.learn(0x0200, key(mac), 3)
  const placeOf = (mac: number) => {
    fdb.learn(high(), key(mac), 0)
    const place = memory.i32.lastIndexOf(key(mac))
    fdb.forget(0)
    return place
  }
  const first = 1_000_000
  const place = placeOf(first)
  let second = first + 1
  while (placeOf(second) !== place) second++
  return { first, second }
}

t.test('while a place goes from one address to another, nobody is ever told the wrong port', async (t) => {
  const { memory, fdb } = database()
  const { first, second } = neighbours(memory, fdb)
  const common = { memory: memory.memory, peers: PEERS, macs: [first, second], ports: [1, 2, 3], forMs: 1000 }
  const [learner, reader] = await threads([
    { ...common, role: 'replace' },
    { ...common, role: 'find' },
  ])
  t.ok(learner.done > 1000, `${learner.done} replacements`)
  t.ok(Math.min(...reader.found) > 1000, `found ${reader.found} times each, of ${reader.done}`)
  t.equal(reader.wrong, 0)
})

t.test('several threads may change it at once', async (t) => {
  const { memory, fdb } = database()
  const macs = Array.from({ length: 3000 }, (_, index) => index + 1)
  const common = { memory: memory.memory, peers: PEERS, macs, forMs: 1000 }
  const told = await threads([
    { ...common, role: 'learn', ports: [0, 1] },
    { ...common, role: 'learn', ports: [1, DEVICE] },
    { ...common, role: 'forget', ports: [0, 1, DEVICE] },
  ])
  t.ok(Math.min(...told.map(({ done }) => done)) > 100, `${told.map(({ done }) => done)} changes`)
  const entries = [...fdb.list()]
  t.equal(new Set(entries.map(({ macLow }) => macLow)).size, entries.length, 'no address is there twice')
  for (const port of [DEVICE, 0, 1]) {
    t.equal(fdb.countOf(port), entries.filter((it) => it.port === port).length, `entries of port ${port}`)
  }
})

t.test('of thousands of peers, some have many addresses, and each has its share', async (t) => {
  const peers = 4_096
  const memory = NativeMemory.allocate(fdbBytes(peers))
  const fdb = new FdbUpkeep(memory, 0, peers)
  fdb.initialise(() => randomInt(2 ** 32))
  const share = shareOf(peers)
  let mac = 0
  /** @returns how many of `count` new addresses are learnt behind a port */
  const learn = (port: number, count: number) => {
    let learnt = 0
    for (let done = 0; done < count; done++)
      if (fdb.learn(0x0200, Math.imul(++mac, 0x9e3779b1), port) === LEARN.learnt) learnt++
    return learnt
  }
  const greedy = 256
  let all = 0
  for (let port = 0; port < greedy; port++) all += learn(port, PORT_LIMIT + 1)
  t.ok(all >= 190 * PORT_LIMIT && all < greedy * PORT_LIMIT, `${all} addresses of ${greedy} peers`)
  t.equal(fdb.countOf(0), PORT_LIMIT)
  const few = Array.from({ length: peers - greedy }, (_, at) => learn(greedy + at, share + 1))
  t.same([...new Set(few)], [share], 'nobody has taken the shares of the others')
  t.equal(learn(DEVICE, share), share)
  const [last] = [peers - 1]
  t.equal(
    fdb.find(0x0200, Math.imul(mac - share - 1, 0x9e3779b1)),
    last,
    'the last row is told from the others',
  )
  fdb.forget(0)
  t.equal(learn(last, PORT_LIMIT), PORT_LIMIT - share, 'who has gone leaves room')
  fdb.forgetAll([DEVICE, ...Array.from({ length: peers }, (_, port) => port)])
  t.equal(fdb.size, 0)
  t.equal(learn(7, PORT_LIMIT), PORT_LIMIT)
})
