import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { FdbReport } from '../../../src/control/addresses.js'
import { type MacAddress, parseMac } from '../../../src/wire/ethernet.js'
import { BROADCAST, ETHERTYPE, frame, NOBODY, STRANGER, tagged } from '../../support/hosts/frames.js'
import { ok, PROGRAM, pings, startTunnel, untilPing } from '../../support/hosts/lab.js'
import { Network } from '../../support/hosts/network.js'

/** Long enough for whatever is on its way. */
const SETTLE_MS = 300

const network = new Network(5)
t.teardown(() => network[Symbol.dispose]())
const tunnels = await network.mesh()
const others = [1, 2, 3, 4]
for (const index of others) await untilPing(network.hosts[0], network.overlay(index))

const taps = network.hosts.map((_, index) => network.socket(index, 'tap0'))
const wires = network.hosts.map((_, index) => network.socket(index, 'eth0'))

let number = 0

/** A frame that is no other: with a number in it. @param from its source */
function unique(to: MacAddress, from: MacAddress = STRANGER): Buffer {
  const payload = Buffer.alloc(60)
  payload.write(`frame number ${number++};`)
  const bytes = frame(to, ETHERTYPE.experimental, payload)
  bytes.set(from, 6)
  return bytes
}

const macOf = (index: number): MacAddress => parseMac(network.mac(index)) ?? NOBODY

/** Sends a frame into the tap of a host, and says how often each host got it: from its underlay, and in its tap. */
async function spread(from: number, bytes: Buffer) {
  for (const socket of [...taps, ...wires]) socket.flush()
  taps[from].send(bytes)
  await sleep(SETTLE_MS)
  const count = async (sockets: typeof taps, index: number) =>
    (
      await sockets[index].capture(
        Number.POSITIVE_INFINITY,
        (it) => !it.outgoing && it.bytes.includes(bytes),
        1,
      )
    ).length
  const wire: number[] = []
  const tap: number[] = []
  for (const [index] of network.hosts.entries()) {
    wire.push(await count(wires, index))
    tap.push(await count(taps, index))
  }
  return { wire, tap }
}

const only = (...hosts: number[]) => network.hosts.map((_, index) => (hosts.includes(index) ? 1 : 0))

t.test('every host reaches every other one', async (t) => {
  for (const from of [1, 2, 3, 4]) {
    for (const to of [0, 1, 2, 3, 4]) {
      if (to !== from) t.ok(await pings(network.hosts[from], network.overlay(to)), `${from} to ${to}`)
    }
  }
})

t.test('a frame for a known host goes to that one alone', async (t) => {
  t.same(await spread(0, unique(macOf(3))), { wire: only(3), tap: only(3) })
  t.same(await spread(4, unique(macOf(1), NOBODY)), { wire: only(1), tap: only(1) })
})

t.test('broadcasts, multicasts and frames for unknown hosts go to all others, once', async (t) => {
  const all = { wire: only(1, 2, 3, 4), tap: only(1, 2, 3, 4) }
  t.same(await spread(0, unique(BROADCAST)), all)
  t.same(await spread(0, unique([0x01, 0, 0x5e, 1, 2, 3])), all)
  t.same(await spread(0, unique([0x01, 0x80, 0xc2, 0, 0, 0])), all, 'spanning tree')
  t.same(await spread(0, unique([0x02, 0x77, 0, 0, 0, 1])), all)
})

t.test('in each VLAN by itself', async (t) => {
  const host: MacAddress = [0x02, 0x77, 0, 0, 0, 2]
  await spread(2, tagged(unique(BROADCAST, host), 5))
  await spread(3, tagged(unique(BROADCAST, host), 6))
  t.same((await spread(0, tagged(unique(host), 5))).wire, only(2))
  t.same((await spread(0, tagged(unique(host), 6))).wire, only(3))
  t.same((await spread(0, tagged(unique(host), 7))).wire, only(1, 2, 3, 4))
  t.same((await spread(0, unique(host))).wire, only(1, 2, 3, 4))
})

t.test('fdb shows what was learnt, and behind whom', async (t) => {
  const { entries } = JSON.parse(await ok(network.hosts[0], process.execPath, PROGRAM, 'fdb')) as FdbReport
  const find = (mac: string, vlan: number) => entries.filter((it) => it.mac === mac && it.vlan === vlan)
  t.match(find(network.mac(3), 0), [{ peer: network.underlay(3) }])
  t.match(find('02:77:00:00:00:02', 5), [{ peer: network.underlay(2) }])
  t.match(find('02:77:00:00:00:02', 6), [{ peer: network.underlay(3) }])
  t.match(find(network.mac(0), 0), [{ peer: null, age_s: null }], "the device's own MAC is pinned")
  t.match(find('02:5a:00:00:00:01', 0), [{ peer: null }], 'the stranger is on this side')
})

t.test('counted for each peer, nothing dropped', async (t) => {
  for (const tunnel of tunnels) {
    const { peers, drops } = await tunnel.status()
    const { device_receive: _, ...own } = drops
    t.equal(
      Object.values(own).reduce((sum, count) => sum + count, 0),
      0,
    )
    t.ok(peers.every(({ outbound, inbound }) => outbound.frames > 0 && inbound.frames > 0))
  }
})

t.test("who asks after a configured peer's address asks that peer alone", async (t) => {
  await tunnels[0].stop()
  const path = join(t.testdirName, 'tunnel.yaml')
  mkdirSync(t.testdirName, { recursive: true })
  const peers = others.map(
    (index) => `  - {endpoint: ${network.underlay(index)}, addresses: [${network.overlay(index)}]}`,
  )
  writeFileSync(path, [`local: [${network.overlay(0)}]`, 'peers:', ...peers, ''].join('\n'))
  await startTunnel(network.hosts[0], '--config', path)
  taps[0] = network.socket(0, 'tap0')
  await untilPing(network.hosts[0], network.overlay(2))
  await ok(network.hosts[0], 'ip', 'neigh', 'flush', 'dev', 'tap0')
  for (const socket of taps) socket.flush()
  t.ok(await pings(network.hosts[0], network.overlay(3)))
  const asked = async (index: number) =>
    (
      await taps[index].capture(
        Number.POSITIVE_INFINITY,
        ({ outgoing, bytes }) =>
          !outgoing &&
          bytes.readUInt16BE(12) === ETHERTYPE.arp &&
          bytes.readUInt16BE(20) === 1 &&
          bytes[41] === 4,
        1,
      )
    ).length
  t.ok((await asked(3)) >= 1, 'it was asked')
  t.same([await asked(1), await asked(2), await asked(4)], [0, 0, 0], 'the others were not')
})
