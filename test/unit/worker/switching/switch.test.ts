import { randomInt } from 'node:crypto'
import t from 'tap'
import { NativeMemory } from '../../../../src/linux/memory.js'
import { fdbBytes } from '../../../../src/memory/fdb-layout.js'
import { FdbUpkeep } from '../../../../src/memory/fdb-upkeep.js'
import { Routes, routesBytes } from '../../../../src/memory/routes.js'
import { STORM_BURST_FRAMES, StormLimit, stormBytes } from '../../../../src/memory/storm-limit.js'
import { DEVICE, FILTERED, FLOOD, NOT_ALLOWED, STORM } from '../../../../src/memory/target.js'
import type { MacAddress } from '../../../../src/wire/ethernet.js'
import { Switch } from '../../../../src/worker/switching/switch.js'
import {
  arp,
  BROADCAST,
  bridgeProtocolUnit,
  ETHERTYPE,
  frame,
  solicitation,
  tagged,
} from '../../../support/hosts/frames.js'

const PEERS = 5
/** Its row is not in use. */
const CLOSED = 4
const FRAME = 2
const FDB = 4096
const ROUTES = FDB + ((fdbBytes(PEERS) + 63) & -64)
const STORMS = ROUTES + routesBytes(8)

const here: MacAddress = [0x02, 0, 0, 0, 0, 0xd0]
const mac = (number: number): MacAddress => [0x02, 0, 0, 0, 0, number]

/** A switch, whose clock stands still: frames are put to it one by one, each a run of its own. */
function make(relay = false) {
  const memory = NativeMemory.allocate(STORMS + stormBytes(PEERS))
  const fdb = new FdbUpkeep(memory, FDB, PEERS)
  fdb.initialise(() => randomInt(2 ** 32))
  const addresses = new Routes(memory, ROUTES, 8)
  const storm = new StormLimit(memory, STORMS, () => 1_000_000)
  const it = new Switch(memory, { fdb, addresses, storm, peers: { inUse: (row) => row !== CLOSED }, relay })
  const put = (bytes: Buffer) => {
    memory.u8.set(bytes, FRAME)
    return bytes.length
  }
  const fromDevice = (bytes: Buffer, frames = 1) => {
    it.begin()
    return it.fromDevice(FRAME, put(bytes), frames)
  }
  const fromPeer = (row: number, bytes: Buffer) => {
    it.begin()
    return it.fromPeer(FRAME, put(bytes), row)
  }
  return { it, put, fdb, addresses, fromDevice, fromPeer }
}

/** A frame between two MACs. */
function between(from: MacAddress, to: MacAddress, payload = Buffer.alloc(46)): Buffer {
  const bytes = frame(to, ETHERTYPE.experimental, payload)
  bytes.set(from, 6)
  return bytes
}

t.test('from the device: everywhere until the destination was seen, then there alone', async (t) => {
  const { fromDevice, fromPeer } = make()
  t.equal(fromDevice(between(here, mac(1))), FLOOD)
  t.equal(fromPeer(1, between(mac(1), here)), DEVICE, 'it was seen here')
  t.equal(fromDevice(between(here, mac(1))), 1)
  t.equal(fromPeer(2, between(mac(1), BROADCAST)), FLOOD)
  t.equal(fromDevice(between(here, mac(1))), 2, 'it has moved')
  t.equal(fromDevice(between(mac(1), BROADCAST)), FLOOD)
  t.equal(fromDevice(between(here, mac(1))), FILTERED, 'it has moved to this side')
  t.equal(fromPeer(2, between(mac(2), mac(1))), DEVICE)
})

t.test('who may only talk with main gets nothing in, and nothing is learnt from it', async (t) => {
  const { fromDevice, fromPeer, fdb } = make()
  t.equal(fromPeer(CLOSED, between(mac(1), BROADCAST)), NOT_ALLOWED)
  t.equal(fromPeer(CLOSED, between(mac(1), here)), NOT_ALLOWED)
  t.equal(fdb.size, 0)
  t.equal(fromDevice(between(here, mac(1))), FLOOD)
})

t.test('groups go everywhere, those of bridges too', async (t) => {
  const { fromDevice, fromPeer } = make()
  for (const to of [BROADCAST, [0x01, 0, 0x5e, 0, 0, 251], [0x33, 0x33, 0, 0, 0, 1]] as const) {
    t.equal(fromDevice(between(here, to)), FLOOD)
    t.equal(fromPeer(0, between(mac(1), to)), FLOOD)
  }
  t.equal(fromDevice(bridgeProtocolUnit()), FLOOD)
  t.equal(fromPeer(0, bridgeProtocolUnit()), FLOOD)
})

t.test('in a mesh nothing goes from peer to peer, and what is behind a peer is filtered', async (t) => {
  const { fromPeer } = make()
  t.equal(fromPeer(0, between(mac(10), mac(11))), FLOOD, 'not known: it may be here')
  fromPeer(0, between(mac(11), BROADCAST))
  t.equal(fromPeer(0, between(mac(10), mac(11))), FILTERED, 'behind the same peer')
  t.equal(fromPeer(1, between(mac(12), mac(11))), FILTERED, 'behind another peer')
})

t.test('a hub with relay passes on to where the destination is, and never back', async (t) => {
  const { fromPeer, fromDevice } = make(true)
  t.equal(fromPeer(0, between(mac(10), mac(11))), FLOOD)
  t.equal(fromPeer(1, between(mac(11), mac(10))), 0)
  t.equal(fromPeer(0, between(mac(10), mac(11))), 1)
  fromPeer(0, between(mac(11), BROADCAST))
  t.equal(fromPeer(0, between(mac(10), mac(11))), FILTERED)
  fromDevice(between(here, BROADCAST))
  t.equal(fromPeer(0, between(mac(10), here)), DEVICE, 'for the hub itself')
})

t.test('each VLAN is a network of its own; a tag that says only a priority is none', async (t) => {
  const { fromDevice, fromPeer } = make()
  const inVlan = (bytes: Buffer, tci: number, type?: number) => tagged(bytes, tci, type)
  fromPeer(1, inVlan(between(mac(1), here), 5))
  fromPeer(2, inVlan(between(mac(1), here), 6, ETHERTYPE.serviceVlan))
  fromPeer(3, between(mac(1), here))
  const to = between(here, mac(1))
  t.equal(fromDevice(inVlan(to, 5)), 1)
  t.equal(fromDevice(inVlan(to, 0xe005)), 1, 'with a priority')
  t.equal(fromDevice(inVlan(to, 6)), 2)
  t.equal(fromDevice(inVlan(to, 7)), FLOOD)
  t.equal(fromDevice(inVlan(to, 0xe000)), 3)
  t.equal(fromDevice(to), 3)
})

t.test("who asks after a configured peer's address asks that peer alone", async (t) => {
  const { fromDevice, fromPeer, addresses } = make()
  const request = frame(BROADCAST, ETHERTYPE.arp, arp(1))
  const solicit = frame(
    [0x33, 0x33, 0xff, 0, 0, 3],
    ETHERTYPE.ipv6,
    solicitation([0xfd, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]),
  )
  t.equal(fromDevice(request), FLOOD)
  t.equal(fromDevice(solicit), FLOOD)
  addresses.set([
    { address: [10, 9, 0, 78], prefixLength: 32, row: 2 },
    { address: [0xfd, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3], prefixLength: 128, row: 3 },
  ])
  t.equal(fromDevice(request), 2)
  t.equal(fromDevice(tagged(request, 0xe000)), FLOOD, 'a tag hides it')
  t.equal(fromDevice(tagged(request, 5)), FLOOD, 'in a VLAN it may be another')
  t.equal(fromDevice(solicit), 3)
  t.equal(fromDevice(frame(BROADCAST, ETHERTYPE.arp, arp(2))), FLOOD, 'an answer')
  t.equal(fromPeer(0, request), FLOOD, 'in a mesh the peer has asked there itself')
})

t.test('a hub with relay takes a question to the peer that is asked after', async (t) => {
  const { fromPeer, addresses } = make(true)
  addresses.set([{ address: [10, 9, 0, 78], prefixLength: 32, row: 2 }])
  const request = frame(BROADCAST, ETHERTYPE.arp, arp(1))
  t.equal(fromPeer(0, request), 2)
  t.equal(fromPeer(2, request), FILTERED)
})

t.test('broadcasts have a limit; known destinations and bridges have none', async (t) => {
  const { fromDevice, fromPeer } = make()
  const broadcast = between(mac(10), BROADCAST)
  let passed = 0
  for (let count = 0; count < 2 * STORM_BURST_FRAMES; count++) {
    if (fromPeer(0, broadcast) === FLOOD) passed++
  }
  t.equal(passed, STORM_BURST_FRAMES)
  t.equal(fromPeer(0, broadcast), STORM)
  t.equal(fromPeer(0, bridgeProtocolUnit()), FLOOD)
  t.equal(fromPeer(0, between(mac(10), mac(99))), FLOOD, 'goes to the device alone')
  t.equal(fromPeer(1, between(mac(11), BROADCAST)), FLOOD, 'another peer')
  t.equal(fromDevice(between(here, mac(98)), STORM_BURST_FRAMES), FLOOD)
  t.equal(fromDevice(between(here, mac(98))), STORM, 'for an unknown address')
  t.equal(fromDevice(between(here, BROADCAST)), STORM)
  t.equal(fromDevice(between(here, BROADCAST), 0), FLOOD, 'to a single peer')
  t.equal(fromDevice(between(here, mac(10))), 0)
})

t.test('on a hub with relay, frames for unknown addresses count, too', async (t) => {
  const { fromPeer } = make(true)
  let passed = 0
  for (let count = 0; count < 2 * STORM_BURST_FRAMES; count++) {
    if (fromPeer(0, between(mac(10), mac(99))) === FLOOD) passed++
  }
  t.equal(passed, STORM_BURST_FRAMES)
})

t.test(
  'within a run what was decided is remembered, for the same addresses from the same port alone',
  async (t) => {
    const { it, put, fdb, fromPeer } = make()
    fromPeer(1, between(mac(1), here))
    fromPeer(2, between(mac(2), here))
    it.begin()
    const ask = (bytes: Buffer) => it.fromDevice(FRAME, put(bytes), 1)
    t.equal(ask(between(here, mac(1))), 1)
    fdb.forget(1)
    t.equal(ask(between(here, mac(1))), 1, 'the same run')
    t.equal(ask(between(here, mac(2))), 2)
    t.equal(ask(between(here, mac(1))), FLOOD)
    t.equal(ask(between(here, mac(2))), 2)
    t.equal(it.fromPeer(FRAME, put(between(here, mac(2))), 0), FILTERED, 'from somewhere else')
    fdb.forget(2)
    it.begin()
    t.equal(ask(between(here, mac(2))), FLOOD, 'another run')
  },
)

t.test("what is configured as one port's is taken from no other, whatever it is for", async (t) => {
  for (const relay of [false, true]) {
    const { fdb, fromDevice, fromPeer } = make(relay)
    fdb.pin([
      { macHigh: 0x0200, macLow: 0xd0, port: DEVICE },
      { macHigh: 0x0200, macLow: 1, port: 1 },
    ])
    fromPeer(3, between(mac(3), BROADCAST))
    for (const to of [here, mac(3), mac(9), BROADCAST]) {
      t.equal(fromPeer(2, between(mac(1), to)), NOT_ALLOWED, "another peer's")
      t.equal(fromPeer(2, tagged(between(mac(1), to), 7)), NOT_ALLOWED, 'in a VLAN')
      t.equal(fromPeer(2, between(here, to)), NOT_ALLOWED, "this host's")
    }
    const unit = bridgeProtocolUnit()
    unit.set(mac(1), 6)
    t.equal(fromPeer(2, unit), NOT_ALLOWED, "a bridge's")
    t.equal(fromPeer(1, between(mac(1), here)), DEVICE, 'its own')
    t.equal(fromPeer(1, tagged(between(mac(1), BROADCAST), 7)), FLOOD)
    t.equal(fromPeer(2, between(mac(2), here)), DEVICE)
    t.equal(fromDevice(between(here, mac(1))), 1)
  }
})

t.test('a frame with a source of another in a run of one that may is found out', async (t) => {
  const { it, put, fdb } = make()
  fdb.pin([
    { macHigh: 0x0200, macLow: 0xd0, port: DEVICE },
    { macHigh: 0x0200, macLow: 1, port: 1 },
  ])
  it.begin()
  t.equal(it.fromPeer(FRAME, put(between(mac(2), here)), 2), DEVICE)
  t.equal(it.fromPeer(FRAME, put(between(mac(1), here)), 2), NOT_ALLOWED)
  t.equal(it.fromPeer(FRAME, put(between(mac(1), here)), 1), DEVICE)
  t.equal(it.fromPeer(FRAME, put(between(mac(1), here)), 2), NOT_ALLOWED)
  t.equal(it.fromPeer(FRAME, put(between(mac(2), here)), 2), DEVICE)
})
