import { setTimeout as pause } from 'node:timers/promises'
import { formatValue } from '../../src/control/discovery/member-value.js'
import { parseKey } from '../../src/key-text.js'
import type { SimHost } from './host.js'
import { WrittenStore } from './store.js'
import { simTest } from './world.js'

const MEMBERS = 1_000
const KEYS = '/udptun-fast/default/'

// Otherwise it would be loaded at a host's start, and take a moment of real time there.
await import('../../src/control/discovery/etcd.js')

simTest('two of a thousand members talk, and whoever comes or goes is noticed by both', async (t, world) => {
  const store = new WrittenStore()
  const write = (index: number) => {
    const name = `m${index}`
    const publicKey = Uint8Array.from(parseKey(world.publicKey()) ?? [])
    const place = [16 + (index >> 8), index & 0xff]
    const networks = [{ address: Uint8Array.of(10, 9, ...place), prefixLength: 32 }]
    const endpoints = [{ address: Uint8Array.of(203, 0, ...place), port: 5149 }]
    store.write([{ key: KEYS + name, value: formatValue({ name, publicKey, networks, endpoints }) }])
  }
  for (let index = 0; index < MEMBERS; index++) write(index)
  const hosts = ['a', 'b'].map((name) => world.host(name, { mode: 'tun', rows: 2_048 }))
  const [a, b] = hosts
  const start = async (host: SimHost) => {
    host.store = store
    const etcd = { endpoints: ['https://etcd'], name: host.name, grace: 1 }
    await host.start({ peers: [], local: [`${host.overlay.ipv4}/16`], discovery: { etcd } })
    // The source is loaded in real time.
    await pause(10)
  }
  const count = (host: SimHost) => host.tunnel?.summary().peers.length ?? 0
  const isUp = (of: SimHost, name: string) =>
    of.tunnel?.summary().peers.some((it) => it.name === name && it.state === 'up') === true
  const know = (peers: number) => () => hosts.every((it) => count(it) === peers)
  await start(a)
  await world.pass(10_000, () => count(a) === MEMBERS)
  t.equal(count(a), MEMBERS)
  // All of them have been looked for, and none has answered.
  await world.pass(70_000)

  const startMs = world.time.nowMs
  await start(b)
  await world.pass(60_000, () => isUp(a, 'b') && isUp(b, 'a'))
  const foundMs = world.time.nowMs - startMs
  t.ok(foundMs < 2_000, `who has just started is up after ${foundMs} ms`)
  await world.pass(500)
  a.offer(b, 'there')
  b.offer(a, 'and back')
  await world.pass(100)
  t.same([b.texts, a.texts], [['there'], ['and back']])

  const beforeMs = world.time.nowMs
  write(MEMBERS)
  await world.pass(10_000, know(MEMBERS + 2))
  const tookMs = world.time.nowMs - beforeMs
  t.ok(tookMs < 1_000, `who joins is known after ${tookMs} ms`)
  for (let index = 1; index <= MEMBERS; index++) store.write([{ key: `${KEYS}m${index}`, value: undefined }])
  await world.pass(10_000, know(2))
  t.same(hosts.map(count), [2, 2])
  // A row of one that has gone is another's now.
  write(MEMBERS + 1)
  await world.pass(10_000, know(3))
  a.offer(b, 'still')
  await world.pass(100)
  t.same(b.texts, ['there', 'still'])
  t.equal(a.rowsInUse.length, 1, 'only one is somewhere')
})
