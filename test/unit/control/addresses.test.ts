import { randomBytes } from 'node:crypto'
import ipaddr from 'ipaddr.js'
import t from 'tap'
import { renderFdb } from '../../../src/cli/fdb.js'
import { loadSettings } from '../../../src/config/load.js'
import { Addresses, type PeerRow } from '../../../src/control/addresses.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import { LEARN } from '../../../src/memory/fdb.js'
import { FdbUpkeep } from '../../../src/memory/fdb-upkeep.js'
import { planMemory } from '../../../src/memory/plan.js'
import { Routes } from '../../../src/memory/routes.js'
import { DEVICE, FLOOD } from '../../../src/memory/target.js'
import { type MacAddress, parseMac } from '../../../src/wire/ethernet.js'
import { SimClock, SimTime } from '../../sim/clock.js'

const ROWS = 4
const OWN: MacAddress = [2, 0, 0, 0, 0, 0xd0]

/** Main's part, and what a worker sees of it. */
function make(mode: 'tap' | 'tun') {
  const plan = planMemory(ROWS)
  const memory = NativeMemory.allocate(plan.bytes + 64)
  const time = new SimTime()
  const clock = new SimClock(time)
  const addresses = new Addresses({ clock, random: randomBytes, memory, plan }, mode)
  addresses.setOwnMac(OWN)
  const fdb = new FdbUpkeep(memory, plan.fdb, plan.peerRows)
  const routes = new Routes(memory, plan.routes, plan.routeLimit)
  const whose = (text: string) => {
    const bytes = ipaddr.parse(text).toByteArray()
    memory.u8.set(bytes, plan.bytes)
    return bytes.length === 4 ? routes.find4(plan.bytes) : routes.find6(plan.bytes)
  }
  const key = (text: string): readonly [number, number] => {
    const [a, b, c, d, e, f] = parseMac(text) ?? OWN
    return [(a << 8) | b, (c << 24) | (d << 16) | (e << 8) | f]
  }
  return {
    addresses,
    time,
    whose,
    find: (mac: string) => fdb.find(...key(mac)),
    learn: (mac: string, port: number) => fdb.learn(...key(mac), port),
  }
}

/** Rows of these peers, each as a file says it; the first one is in row 1. */
function rows(mode: 'tap' | 'tun', ...peers: object[]): PeerRow[] {
  const settings = loadSettings({ local: ['10.9.0.1'], mode, peers }, undefined)
  return settings.peers.map((it, index) => ({ row: index + 1, settings: it }))
}

t.test('in tun mode addresses and prefixes say whose a packet is', async (t) => {
  const { addresses, whose } = make('tun')
  addresses.configure(
    rows(
      'tun',
      { endpoint: 'b', addresses: ['10.9.0.2', 'fd00::2'] },
      { endpoint: 'c', addresses: ['10.9.0.3'], prefixes: ['10.77.0.0/16', 'fd00:77::/32'] },
    ),
  )
  t.same(['10.9.0.2', 'fd00::2', '10.9.0.3', '10.77.3.4', 'fd00:77::1'].map(whose), [1, 1, 2, 2, 2])
  t.same(['10.9.0.4', '10.78.0.1', 'fd00::3'].map(whose), [FLOOD, FLOOD, FLOOD])
})

t.test('in tun mode a single peer of which nothing is said has all addresses', async (t) => {
  const { addresses, whose } = make('tun')
  addresses.configure(rows('tun', { endpoint: 'b' }))
  t.same(['10.9.0.2', '8.8.8.8', '2001:db8::1'].map(whose), [1, 1, 1])
  addresses.configure(rows('tun', { endpoint: 'b', addresses: ['10.9.0.2'] }))
  t.same(['10.9.0.2', '8.8.8.8'].map(whose), [1, FLOOD], 'and of which something is said, that')
})

t.test("in tap mode a peer's MACs are its, and the device's are this host's", async (t) => {
  const { addresses, time, whose, find, learn } = make('tap')
  const peers = rows(
    'tap',
    { endpoint: 'b', addresses: ['10.9.0.2'], macs: ['02:00:00:00:00:02'] },
    { endpoint: 'c' },
  )
  addresses.configure(peers)
  t.same(['02:00:00:00:00:02', '02:00:00:00:00:d0'].map(find), [1, DEVICE])
  t.equal(learn('02:00:00:00:00:d0', 2), LEARN.pinned)
  t.same(['10.9.0.2', '10.9.0.3'].map(whose), [1, FLOOD])
  learn('02:00:00:00:00:33', 2)
  addresses.configure(peers.slice(1))
  t.same(
    ['02:00:00:00:00:02', '02:00:00:00:00:33', '02:00:00:00:00:d0'].map(find),
    [FLOOD, 2, DEVICE],
    'after a reload',
  )
  addresses.forget(2)
  await time.pass(100)
  t.equal(find('02:00:00:00:00:33'), FLOOD)
})

t.test('peers that go down in one turn are forgotten in one look at the table', async (t) => {
  const { addresses, time, find, learn } = make('tap')
  const forgotten = t.capture(FdbUpkeep.prototype, 'forgetAll', FdbUpkeep.prototype.forgetAll)
  const macs = [1, 2, 3].map((row) => `02:00:00:00:00:0${row}`)
  const downs = () => {
    for (const [index, mac] of macs.entries()) learn(mac, index + 1)
    for (const row of [1, 2, 3]) addresses.forget(row)
  }
  downs()
  await time.pass(100)
  t.same(macs.map(find), [FLOOD, FLOOD, FLOOD])
  t.equal(forgotten().length, 1)
  downs()
  // A removed peer's row may soon be another's.
  addresses.configure([])
  t.same(macs.map(find), [FLOOD, FLOOD, FLOOD])
  learn(macs[0], 1)
  await time.pass(100)
  t.equal(find(macs[0]), 1, 'what is learnt after that stays')
  t.equal(forgotten().length, 1)
  downs()
  addresses.close()
  await time.pass(100)
  t.equal(forgotten().length, 0, 'and nothing is done when the tunnel has stopped')
})

t.test('fdb says who has what, and what is not as it should be', async (t) => {
  const { addresses, learn } = make('tap')
  addresses.configure(rows('tap', { endpoint: 'b', macs: ['02:00:00:00:00:02'] }))
  learn('02:00:00:00:00:ff', 1)
  const report = addresses.report((row) => ({ 1: 'b' })[row])
  t.same(
    [...report.entries].sort((x, y) => x.mac.localeCompare(y.mac)),
    [
      { mac: '02:00:00:00:00:02', vlan: 0, peer: 'b', age_s: null },
      { mac: '02:00:00:00:00:d0', vlan: 0, peer: null, age_s: null },
      { mac: '02:00:00:00:00:ff', vlan: 0, peer: 'b', age_s: 0 },
    ],
  )
  const text = renderFdb(report)
  t.match(text, /02:00:00:00:00:ff +b +0 s ago/)
  t.match(text, /02:00:00:00:00:d0 +this host +configured/)
  t.notMatch(text, /!/)
  t.match(renderFdb(report, 30), /02:00:00:00:00:ff +b\n[\s\S]*not shown in 30 columns:\s+seen;/)
  for (let move = 0; move < 10; move++) learn('02:00:00:00:00:ff', 1 + (move % 2))
  t.match(renderFdb(addresses.report(() => undefined)), /! \d moves were not followed/)
})
