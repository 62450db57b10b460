import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import t from 'tap'
import { NativeMemory } from '../../../src/linux/memory.js'
import type { Route } from '../../../src/memory/prefixes.js'
import { Routes, routesBytes } from '../../../src/memory/routes.js'
import { FLOOD } from '../../../src/memory/target.js'
import { interrupted } from '../../support/interrupted.js'
import { ROUTES_AT, type RoutesTask, type RoutesTold } from '../../support/routes-worker.js'

const LIMIT = 64

function tables(limit = LIMIT) {
  const memory = NativeMemory.allocate(ROUTES_AT + routesBytes(limit))
  const routes = new Routes(memory, ROUTES_AT, limit)
  const find = (address: ArrayLike<number>) => {
    memory.u8.set(Array.from(address), 3)
    return address.length === 4 ? routes.find4(3) : routes.find6(3)
  }
  return { memory, routes, find }
}

const route = (text: string, row: number): Route => {
  const [address, prefixLength] = ipaddr.parseCIDR(text)
  return { address: address.toByteArray(), prefixLength, row }
}

const bytesOf = (text: string) => ipaddr.parse(text).toByteArray()

/** By the book: of the routes that agree in all bits of their prefix, the longest; of equal ones, the last. */
function longest(routes: readonly Route[], address: ArrayLike<number>): number {
  let best: Route | undefined
  for (const it of routes) {
    if (it.address.length !== address.length) continue
    let agrees = true
    for (let bit = 0; bit < it.prefixLength; bit++) {
      const mask = 0x80 >>> (bit & 7)
      if (((it.address[bit >>> 3] ^ address[bit >>> 3]) & mask) !== 0) agrees = false
    }
    if (agrees && (best === undefined || it.prefixLength >= best.prefixLength)) best = it
  }
  return best?.row ?? FLOOD
}

/** Few values for each byte, so that prefixes nest, meet, and begin and end where the address space does. */
const addressOf = (bytes: number) =>
  fc.array(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), { minLength: bytes, maxLength: bytes })
const routeOf = (bytes: number) =>
  fc.record({
    address: addressOf(bytes),
    prefixLength: fc.oneof(fc.integer({ min: 0, max: bytes * 8 }), fc.constantFrom(0, 8, bytes * 8)),
    row: fc.nat(255),
  })

for (const [family, bytes] of [
  ['IPv4', 4],
  ['IPv6', 16],
] as const) {
  t.test(`the longest prefix wins, whatever the routes are (${family})`, async (t) => {
    const property = fc.property(
      fc.array(routeOf(bytes), { maxLength: LIMIT }),
      fc.array(addressOf(bytes), { minLength: 1, maxLength: 50 }),
      (all, addresses) => {
        const { routes, find } = tables()
        routes.set(all)
        return [...addresses, ...all.map(({ address }) => address)].every(
          (address) => find(address) === longest(all, address),
        )
      },
    )
    t.doesNotThrow(() => fc.assert(property, { numRuns: 300 }))
  })
}

for (const [family, bytes] of [
  ['IPv4', 4],
  ['IPv6', 16],
] as const) {
  t.test(`changes leave nothing behind, also where prefixes have collided (${family})`, async (t) => {
    // A table with few places, so that they collide, and the same routes again and again.
    const few = 16
    const all = fc.uniqueArray(routeOf(bytes), { minLength: few, maxLength: 2 * few, selector: (it) => it })
    const property = fc.property(
      all,
      fc.array(fc.array(fc.nat(2 * few - 1), { maxLength: few }), { minLength: 1, maxLength: 20 }),
      (known, sets) => {
        const { routes, find } = tables(few)
        return sets.every((indexes) => {
          const some = indexes.flatMap((at) => known[at] ?? [])
          routes.set(some)
          return known.every(({ address }) => find(address) === longest(some, address))
        })
      },
    )
    t.doesNotThrow(() => fc.assert(property, { numRuns: 500 }))
  })
}

t.test('routes as people write them', async (t) => {
  const { routes, find } = tables()
  const where = (text: string) => find(bytesOf(text))
  t.equal(where('10.9.0.1'), FLOOD, 'none yet')
  routes.set([
    route('10.9.0.2/32', 0),
    route('10.9.2.0/24', 0),
    route('10.9.2.128/25', 1),
    route('fd00:9::/64', 2),
    route('fd00:9::5/128', 3),
    route('0.0.0.0/0', 4),
  ])
  t.equal(where('10.9.0.2'), 0)
  t.equal(where('10.9.0.3'), 4, 'by default')
  t.equal(where('10.9.2.127'), 0)
  t.equal(where('10.9.2.128'), 1)
  t.equal(where('255.255.255.255'), 4)
  t.equal(where('fd00:9::4'), 2)
  t.equal(where('fd00:9::5'), 3)
  t.equal(where('fd00:9:0:1::'), FLOOD)
  routes.set([route('::/0', 7), route('10.9.0.2/8', 1)])
  t.equal(where('fd00:9::5'), 7)
  t.equal(where('10.255.255.255'), 1, 'bits behind the prefix do not matter')
  t.equal(where('11.0.0.0'), FLOOD)
  routes.set([])
  t.equal(where('10.9.0.2'), FLOOD)
})

t.test('more routes than there is room for are refused, and those before stay', async (t) => {
  const { routes, find } = tables(4)
  const hosts = (count: number) =>
    Array.from({ length: count }, (_, index) => route(`10.0.0.${2 * index}/32`, index))
  routes.set(hosts(4))
  t.throws(() => routes.set(hosts(10)), { message: /more than 4 prefixes/ })
  t.equal(find(bytesOf('10.0.0.6')), 3)
})

t.test('a reader overtaken anywhere by two changes finds what holds now', async (t) => {
  for (const [text, bits] of [
    ['10.0.0.7', 32],
    ['fd00::7', 128],
  ] as const) {
    const before = [route(`${text}/${bits}`, 1), route(`${text}/${bits - 1}`, 2)]
    const between = [route(`${text}/${bits - 2}`, 3), route(`${text}/${bits - 3}`, 4)]
    const after = [route(`${text}/${bits - 8}`, 5)]
    let loads = 1
    let load = 0
    for (; load < loads; load++) {
      const { routes, find } = tables()
      routes.set(before)
      let told: number = FLOOD
      const change = () => {
        routes.set(between)
        routes.set(after)
      }
      loads = interrupted('load', { [load]: change }, () => {
        told = find(bytesOf(text))
      })
      if (load < loads && told !== 5) t.fail(`told ${told} at load ${load}`)
    }
    t.ok(load > 5, `${load} cases`)
  }
})

t.test('while routes change, a reader finds the old ones or the new ones', async (t) => {
  const { memory, routes } = tables()
  const task: RoutesTask = { memory: memory.memory, limit: LIMIT, forMs: 1000 }
  const worker = new Worker(new URL('../../support/routes-worker.js', import.meta.url), { workerData: task })
  let told: RoutesTold | undefined
  const end = new Promise<void>((resolve, reject) => {
    worker
      .once('message', (it: RoutesTold) => {
        told = it
        resolve()
      })
      .once('error', reject)
  })
  let changes = 0
  // Address 10.0.0.7 and its neighbours are always peer 7's, in tables of ever other lengths.
  const around = (count: number) => [
    ...Array.from({ length: count }, (_, index) => route(`10.0.0.${2 * index + 20}/32`, 100 + index)),
    ...Array.from({ length: count }, (_, index) => route(`9.0.${index}.0/24`, 100 + index)),
    route('10.0.0.6/31', 7),
    route('fd00::6/127', 7),
    ...Array.from({ length: count }, (_, index) => route(`fc00:${index}::/32`, 100 + index)),
  ]
  const sets = Array.from({ length: 12 }, (_, index) => around(index * 2))
  while (told === undefined) {
    for (const set of sets) routes.set(set)
    changes += sets.length
    await new Promise(setImmediate)
  }
  await end
  await worker.terminate()
  t.ok(changes > 100, `${changes} changes`)
  t.ok(told.done > 100_000, `${told.done} look-ups`)
  t.equal(told.wrong, 0)
})
