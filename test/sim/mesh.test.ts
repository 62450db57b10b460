import type { SimHost } from './host.js'
import { simTest } from './world.js'

const HOSTS = 20
const OVERHEAD_BYTES = 75

/** Ways as they are in the world: each pair has its own, and some are narrow, with ICMP or without. */
const WIDTHS = [1500, 1500, 1500, 1492, 1420, 1391, 1280]

simTest('twenty hosts on bad ways are all up and know what each path carries', async (t, world) => {
  const { random } = world
  const hosts = Array.from({ length: HOSTS }, (_, index) => world.host(`h${index}`))
  const pairs = hosts.flatMap((a, index) => hosts.slice(index + 1).map((b) => [a, b] as const))
  const widths = new Map<string, number>()
  for (const [a, b] of pairs) {
    const mtuBytes = random.pick(WIDTHS)
    widths.set(`${a.name} ${b.name}`, mtuBytes).set(`${b.name} ${a.name}`, mtuBytes)
    world.between(a, b, {
      mtuBytes,
      icmp: random.happens(0.5),
      delayMs: random.between(1, 100),
      jitterMs: random.between(0, 20),
      loss: random.next() * 0.04,
      duplication: 0.02,
    })
  }
  const others = (host: SimHost) => hosts.filter((it) => it !== host)
  await world.run(
    Promise.all(hosts.map((host) => host.begin({ peers: others(host).map((it) => it.asPeer()) }))),
  )
  const settled = () =>
    hosts.every((it) => it.status().peers.every(({ path_mtu }) => path_mtu?.how === 'acknowledged'))
  for (let second = 0; second < 60 && !settled(); second++) await world.pass(1_000)
  for (const host of hosts) {
    const peers = host.status().peers
    t.same(
      peers.filter(({ state }) => state !== 'up').map(({ name }) => name),
      [],
      `${host.name} hears all`,
    )
    const found = peers.map(({ name, path_mtu }) => [name, path_mtu?.bytes])
    const real = peers.map(({ name }) => [name, widths.get(`${host.name} ${name}`)])
    t.same(found, real, `${host.name} knows what its paths carry`)
    const least = Math.min(...real.map(([, bytes]) => Number(bytes)))
    t.equal(host.mtuBytes, least - OVERHEAD_BYTES, 'its device has the least of them')
  }
  for (const [a, b] of pairs) {
    for (let copy = 0; copy < 5; copy++) {
      a.offer(b, `${a.name} to ${b.name}`)
      b.offer(a, `${b.name} to ${a.name}`)
    }
  }
  await world.pass(1_000)
  for (const host of hosts) {
    const wanted = others(host).map(({ name }) => `${name} to ${host.name}`)
    t.same([...new Set(host.texts)].sort(), wanted.sort(), `frames from all come to ${host.name}`)
  }
})
