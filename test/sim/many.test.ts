import { clampPrivateKey } from '../../src/noise/keys.js'
import { INITIATION, MESSAGE } from '../../src/wire/wireguard.js'
import { simTest } from './world.js'

const PEERS = 256
const ALIVE = 6
const PASSED_MS = 100_000

for (const secret of [true, false]) {
  const kind = secret ? 'private' : 'plain'
  simTest(`of 256 peers only six live: they notice nothing of the others (${kind})`, async (t, world) => {
    const hub = world.host('hub', { secret })
    const alive = Array.from({ length: ALIVE }, (_, index) => world.host(`p${index}`, { secret }))
    const dead = Array.from({ length: PEERS - ALIVE }, (_, index) => ({
      name: `dead${index}`,
      endpoint: `203.0.113.${index + 1}`,
      ...(secret ? { public_key: world.publicKey() } : {}),
    }))
    // The living are in between, not first.
    const peers = [...dead.slice(0, 100), ...alive.map((it) => it.asPeer()), ...dead.slice(100)]
    const toDead = new Map<string, number>()
    world.network.watch = ({ from, to }) => {
      if (from === 'hub' && to.address.startsWith('203.'))
        toDead.set(to.address, (toDead.get(to.address) ?? 0) + 1)
    }
    await world.run(
      Promise.all([hub.begin({ peers }), ...alive.map((it) => it.begin({ peers: [hub.asPeer()] }))]),
    )
    await world.pass(10_000)
    for (const host of alive) {
      t.equal(hub.peer(host.name).state, 'up')
      t.match(hub.peer(host.name).path_mtu, { bytes: 1500, how: 'acknowledged' })
      hub.offer(host, host.name)
      host.offer(hub, host.name)
    }
    await world.pass(100)
    t.same(
      alive.map(({ texts }) => texts),
      alive.map(({ name }) => [name]),
    )
    t.same(
      hub.texts,
      alive.map(({ name }) => name),
    )
    await world.pass(PASSED_MS)
    t.equal(hub.mtuBytes, secret ? 1425 : 1458)
    const states = hub.status().peers.map(({ state }) => state)
    t.equal(states.filter((state) => state === 'up').length, ALIVE)
    t.equal(states.filter((state) => state === 'new').length, PEERS - ALIVE)
    t.equal(toDead.size, PEERS - ALIVE)
    const most = Math.max(...toDead.values())
    t.ok(most <= 50, `at most ${most} datagrams to a peer that never answers`)
  })
}

simTest(
  'a setting of all peers begins few handshakes in each turn, and so does another key',
  async (t, world) => {
    const COUNT = 64
    const hub = world.host('hub')
    const peers = Array.from({ length: COUNT }, (_, index) => ({
      name: `p${index}`,
      endpoint: `203.0.113.${index + 1}`,
      public_key: world.publicKey(),
    }))
    const begun = new Map<number, Set<string>>()
    world.network.watch = ({ payload, to }) => {
      if (payload.length !== INITIATION.size || payload[0] !== MESSAGE.initiation) return
      const now = begun.get(world.time.nowMs) ?? new Set()
      begun.set(world.time.nowMs, now.add(to.address))
    }
    const areSpread = async (what: string) => {
      await world.pass(500)
      const all = [...begun.values()]
      t.equal(new Set(all.flatMap((it) => [...it])).size, COUNT, what)
      t.ok(
        all.every(({ size }) => size <= 8),
        `${all.map(({ size }) => size)}`,
      )
    }
    await hub.start({ peers })
    // Nobody has answered, and all are given up.
    await world.pass(200_000)
    begun.clear()
    await hub.reload({ peers: peers.map((it) => ({ ...it, persistent_keepalive: 25 })) })
    await areSpread('persistent keepalives')
    begun.clear()
    hub.privateKey = clampPrivateKey(world.random.bytes(32))
    await hub.reload(hub.values)
    await areSpread('another key')
  },
)
