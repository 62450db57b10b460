/**
 * How much of a processor a join takes on a host that knows many: `npm run bench:joins -- [members ...]`. Main's real
 * code runs in simulated time, with a store in which members are written one after the other. What it does in a second
 * in which nobody joins is taken off.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { formatValue } from '../../src/control/discovery/member-value.js'
import { clampPrivateKey, derivePublicKey } from '../../src/noise/keys.js'
import { SimWorld } from '../../test/sim/sim-world.js'
import { SignedNetwork } from '../../test/support/signed-network.js'
import { WrittenStore } from './store.js'

const KEYS = '/udptun-fast/default/'
const JOINS = 20
const COUNTS = [10, 100, 250]

const isSigned = process.env.UNSIGNED === undefined
const counts = process.argv.slice(2).map(Number)

async function cpuMs(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1_000
}

async function measure(count: number) {
  const world = new SimWorld(1)
  const network = new SignedNetwork(world.random.bytes(32))
  const store = new WrittenStore()
  const host = world.host('host', { mode: 'tun', rows: 2 * count + 64 })
  host.store = store
  const member = (index: number) => {
    const name = `m${index}`
    const publicKey = derivePublicKey(clampPrivateKey(world.random.bytes(32)))
    const place = [1 + (index >> 8), index & 0xff]
    const addresses = [`10.9.${place[0]}.${place[1]}`]
    const record = isSigned ? network.record({ name, publicKey, addresses }) : undefined
    const networks = [{ address: Uint8Array.of(10, 9, ...place), prefixLength: 32 }]
    // Nobody is looked for. That costs the same, however many there are.
    return { key: KEYS + name, value: formatValue({ name, publicKey, networks, endpoints: [], record }) }
  }
  store.write(Array.from({ length: count }, (_, index) => member(index)))
  const startMs = await cpuMs(async () => {
    await host.start({
      peers: [],
      local: ['10.9.0.1/16'],
      ...(isSigned ? { network_key: network.text } : {}),
      discovery: { etcd: { endpoints: ['https://etcd'], name: 'host' } },
    })
    // The source is loaded in real time, beside all else.
    await import('../../src/control/discovery/etcd.js')
    await pause(100)
    const known = () => host.tunnel?.summary().peers.length === count
    await world.pass(120_000, known)
    if (!known()) throw new Error(`only ${host.tunnel?.summary().peers.length} are known`)
  })
  await world.pass(20_000)
  const idleMs = await cpuMs(() => world.pass(JOINS * 1_000))
  const joining = Array.from({ length: JOINS }, (_, index) => member(count + index))
  const joinsMs = await cpuMs(async () => {
    for (const it of joining) {
      store.write([it])
      await world.pass(1_000)
    }
  })
  if (host.tunnel?.summary().peers.length !== count + JOINS) throw new Error('not all have joined')
  await host.stop()
  return {
    members: count,
    start_ms: Math.round(startMs),
    idle_ms_per_s: Number((idleMs / JOINS).toFixed(1)),
    us_per_join: Math.round(((joinsMs - idleMs) / JOINS) * 1_000),
  }
}

for (const count of counts.length === 0 ? COUNTS : counts)
  process.stdout.write(`${JSON.stringify(await measure(count))}\n`)
