import t from 'tap'
import {
  FIRST_PAUSE_MS,
  LAST_PAUSE_MS,
  Lookups,
  MAX_FAILED_LOOKUPS,
  MAX_LOOKUPS,
} from '../../../../src/control/peer/lookups.js'
import type { Resolver } from '../../../../src/control/platform.js'
import { SimClock, SimTime } from '../../../sim/clock.js'

/** How long libc asks name servers that do not answer. */
const DEAD_MS = 10_000
const GOOD_MS = 20

/** Names of which those that begin with `dead` are never found. Counts the look-ups that run. */
class Names {
  readonly time = new SimTime()
  readonly asked: string[] = []
  readonly dead = new Set<string>()
  running = 0
  most = 0
  readonly lookups: Lookups

  constructor(atOnce?: number) {
    this.lookups = new Lookups(new SimClock(this.time), { atOnce, ...this.#resolver })
  }

  readonly #resolver: Resolver = {
    services: () => Promise.reject(new Error('not used')),
    lookup: async (name) => {
      this.asked.push(name)
      this.most = Math.max(this.most, ++this.running)
      await new Promise<void>((resolve) => this.time.after(this.dead.has(name) ? DEAD_MS : GOOD_MS, resolve))
      this.running--
      if (this.dead.has(name)) throw Object.assign(new Error('no answer'), { code: 'EAI_AGAIN' })
      return ['192.0.2.1']
    },
  }

  /** Looks a name up again and again. @returns when it was found, and when each look-up ended */
  follow(name: string) {
    const lookup = this.lookups.open(name, false)
    const seen = { foundMs: undefined as number | undefined, endsMs: [] as number[], lookup }
    const again = async (): Promise<void> => {
      try {
        await lookup.find()
        seen.foundMs = this.time.nowMs
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === undefined) return
        seen.endsMs.push(this.time.nowMs)
        return again()
      }
    }
    void again()
    return seen
  }

  kill(count: number): string[] {
    const names = Array.from({ length: count }, (_, index) => `dead${index}`)
    for (const name of names) this.dead.add(name)
    return names
  }
}

t.test('a good name does not wait for eight dead ones before it', async (t) => {
  const names = new Names()
  for (const name of names.kill(8)) names.follow(name)
  const good = names.follow('good')
  await names.time.pass(1_000)
  t.equal(good.foundMs, GOOD_MS)
})

t.test('names that failed have two places, and the others are never behind them', async (t) => {
  const names = new Names()
  for (const name of names.kill(40)) names.follow(name)
  await names.time.pass(3 * DEAD_MS)
  t.equal(names.most, MAX_LOOKUPS)
  names.most = 0
  await names.time.pass(5 * DEAD_MS)
  t.equal(names.running, MAX_FAILED_LOOKUPS)
  t.equal(names.most, MAX_FAILED_LOOKUPS)
  const startMs = names.time.nowMs
  const good = names.follow('good')
  await names.time.pass(100)
  t.equal(good.foundMs, startMs + GOOD_MS)
})

t.test(
  'a resolver that does two at once is asked for two at once, and one of them may be dead',
  async (t) => {
    const names = new Names(2)
    for (const name of names.kill(4)) names.follow(name)
    await names.time.pass(3 * DEAD_MS)
    t.equal(names.most, 2)
    names.most = 0
    const startMs = names.time.nowMs
    const good = names.follow('good')
    await names.time.pass(3 * DEAD_MS)
    t.equal(good.foundMs, startMs + GOOD_MS)
    t.equal(names.running, 1)
  },
)

t.test('each of the dead has its turn, and is found soon after the name servers are back', async (t) => {
  const names = new Names()
  const all = names.kill(8).map((name) => names.follow(name))
  await names.time.pass(200_000)
  for (const { endsMs } of all) t.ok(endsMs.length >= 4, `${endsMs}`)
  names.dead.clear()
  const startMs = names.time.nowMs
  await names.time.pass(60_000)
  for (const { foundMs } of all)
    t.ok(foundMs !== undefined && foundMs - startMs < DEAD_MS + LAST_PAUSE_MS, `${foundMs}`)
})

t.test('the pauses of a name that fails at once grow, and not beyond a bound', async (t) => {
  const time = new SimTime()
  const asks: number[] = []
  const lookups = new Lookups(new SimClock(time), {
    services: () => Promise.reject(new Error('not used')),
    lookup: async () => {
      asks.push(time.nowMs)
      throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
    },
  })
  const lookup = lookups.open('nobody', false)
  const again = (): Promise<unknown> => lookup.find().catch((error) => error.code && again())
  void again()
  await time.pass(40_000)
  const pauses = asks.slice(1).map((at, index) => at - asks[index])
  t.same(pauses.slice(0, 3), [FIRST_PAUSE_MS, 2 * FIRST_PAUSE_MS, LAST_PAUSE_MS])
  t.same(new Set(pauses.slice(2)), new Set([LAST_PAUSE_MS]))
})

t.test('a name that is closed gives up its turn, and nothing is left', async (t) => {
  const names = new Names()
  const all = names.kill(4).map((name) => names.follow(name))
  await names.time.pass(DEAD_MS + FIRST_PAUSE_MS)
  t.equal(names.running, MAX_FAILED_LOOKUPS)
  const asked = names.asked.length
  for (const { lookup } of all) lookup.close()
  await names.time.pass(60_000)
  t.equal(names.asked.length, asked)
  t.equal(names.running, 0)
})

t.test('a pause that ends between two looks at the clock is not missed', async (t) => {
  const time = new SimTime()
  const clock = new SimClock(time)
  // Each look at the clock takes time, and timers come early, as those of Node.js do.
  let lookMs = 0
  let looks = 0
  const hasty = {
    nowMs: () => {
      lookMs += (looks++ * 0.618) % 1
      return time.nowMs + lookMs
    },
    bootMs: () => clock.bootMs(),
    unixMs: () => clock.unixMs(),
    after: (ms: number, work: () => void) => clock.after(Math.max(0, ms - 1), work),
    every: (ms: number, work: () => void) => clock.every(ms, work),
  }
  let asked = 0
  const lookups = new Lookups(hasty, {
    services: () => Promise.reject(new Error('not used')),
    lookup: async () => {
      asked++
      throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
    },
  })
  const lookup = lookups.open('nobody', false)
  const again = (): Promise<unknown> => lookup.find().catch((error) => error.code && again())
  void again()
  for (let i = 0; i < 1_000; i++) await time.pass(LAST_PAUSE_MS)
  t.ok(asked > 900, `asked ${asked} times`)
})
