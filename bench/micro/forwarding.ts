import { NativeMemory } from '../../src/linux/memory.js'
import { ACCESS_RULES_BYTES, AccessRules, ANY } from '../../src/memory/access-rules.js'
import { fdbBytes } from '../../src/memory/fdb-layout.js'
import { FdbUpkeep } from '../../src/memory/fdb-upkeep.js'
import { Flows, flowsBytes } from '../../src/memory/flows.js'
import type { Route } from '../../src/memory/prefixes.js'
import { Routes, routesBytes } from '../../src/memory/routes.js'
import { StormLimit, stormBytes } from '../../src/memory/storm-limit.js'
import { ETHERNET, ETHERTYPE_IPV4 } from '../../src/wire/ethernet.js'
import { Guard } from '../../src/worker/switching/guard.js'
import { Router } from '../../src/worker/switching/router.js'
import { Switch } from '../../src/worker/switching/switch.js'
import type { Micro } from './micro.js'

const PEERS = 256
/** There is room for so many peers, and for so many prefixes of each family. */
const ROWS = 4_096
const ROUTE_LIMIT = 16_384
const MACS = 10_000
const PREFIXES_PER_PEER = 4
const HIGH = 0x0200
/** A prime without a common factor with {@link MACS}: the order of look-ups is not the order in memory. */
const STEP = 7919

const FRAME_BYTES = 64
const FDB = MACS * FRAME_BYTES
const ROUTES = FDB + ((fdbBytes(ROWS) + 63) & -64)
const STORM = ROUTES + ((routesBytes(ROUTE_LIMIT) + 63) & -64)

const RULES = (STORM + stormBytes(ROWS) + 20 * PEERS * PREFIXES_PER_PEER + 63) & -64
const FLOWS = RULES + ACCESS_RULES_BYTES
const PACKETS = FLOWS + flowsBytes(ROWS)

const memory = NativeMemory.allocate(PACKETS + PEERS * FRAME_BYTES)
const fdb = new FdbUpkeep(memory, FDB, ROWS)
const routes = new Routes(memory, ROUTES, ROUTE_LIMIT)
const storm = new StormLimit(memory, STORM)
const it = new Switch(memory, { fdb, addresses: routes, storm, peers: { inUse: () => true }, relay: false })

const low = (mac: number) => Math.imul(mac + 1, 0x9e3779b1)

let random = 1
fdb.initialise(() => {
  random = Math.imul(random, 1664525) + 1013904223
  return random
})
for (let mac = 0; mac < MACS; mac++) {
  fdb.learn(HIGH, low(mac), mac % PEERS)
  const frame = mac * FRAME_BYTES
  memory.view.setUint16(frame + ETHERNET.destination, HIGH)
  memory.view.setInt32(frame + ETHERNET.destination + 2, low(mac))
  memory.view.setUint16(frame + ETHERNET.source, HIGH)
  memory.view.setInt32(frame + ETHERNET.source + 2, low((mac + STEP) % MACS))
  memory.view.setUint16(frame + ETHERNET.type, ETHERTYPE_IPV4)
}

/** 10.row.n.0/24 and fd00:0:row:n::/64, and one address of each peer in another network. */
const prefixes: Route[] = []
for (let row = 0; row < PEERS; row++) {
  prefixes.push({ address: [172, 16, 0, row], prefixLength: 32, row })
  prefixes.push({ address: [0xfd, ...new Array<number>(14).fill(1), row], prefixLength: 128, row })
  for (let net = 0; net < PREFIXES_PER_PEER; net++) {
    prefixes.push({ address: [10, row, net, 0], prefixLength: 24, row })
    const address = [0xfd, 0, 0, 0, 0, row, 0, net, 0, 0, 0, 0, 0, 0, 0, 0]
    prefixes.push({ address, prefixLength: 64, row })
  }
}
routes.set(prefixes)
/** An address in each prefix that is a network. */
const NETS = PEERS * PREFIXES_PER_PEER
const ADDRESSES4 = STORM + stormBytes(ROWS)
const ADDRESSES6 = ADDRESSES4 + 4 * NETS
for (let index = 0; index < NETS; index++) {
  const [row, net] = [index % PEERS, Math.floor(index / PEERS)]
  memory.u8.set([10, row, net, 1], ADDRESSES4 + 4 * index)
  memory.u8.set([0xfd, 0, 0, 0, 0, row, 0, net, 0, 0, 0, 0, 0, 0, 0, 1], ADDRESSES6 + 16 * index)
}

/** A TCP packet of each peer, from 10.row.0.1 to 10.255.0.1. */
for (let row = 0; row < PEERS; row++) {
  const packet = PACKETS + row * FRAME_BYTES
  memory.u8.set([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, row, 0, 1, 10, 255, 0, 1], packet)
  memory.u8.set([0x9c, 0x40, 0, 22], packet + 20)
}
const router = new Router(memory, routes, new Routes(memory, ROUTES, ROUTE_LIMIT))
const rules = new AccessRules(memory, RULES)
const guard = new Guard(memory, {
  inner: router,
  rules,
  flows: new Flows(memory, FLOWS, ROWS),
  byPacket: true,
})
const everything = { version: 0, prefix: [], mask: [], firstPort: ANY, lastPort: ANY } as const
const all = Array.from({ length: PEERS }, (_, row) => row)

/** A packet from a peer, with rules or without. @param fresh whether each packet is of another flow than the one before */
function guarded(name: string, ruled: boolean, fresh: boolean): Micro {
  const it = micro(`${routing}, and access rules`, name, (mac) => {
    const row = fresh ? mac % (PEERS - 1) : 7
    guard.begin()
    return guard.fromPeer(PACKETS + row * FRAME_BYTES, 40, row)
  })
  return {
    ...it,
    run(times) {
      rules.set(ruled ? [17, 1, 6].map((protocol) => ({ ...everything, rows: all, protocol })) : undefined)
      it.run(times)
    },
  }
}

/** Visits the addresses one after the other, spread over all of them. */
function micro(group: string, name: string, once: (mac: number) => number): Micro {
  let mac = 0
  let sum = 0
  return {
    group,
    name,
    run(times) {
      for (let done = 0; done < times; done++) {
        mac = (mac + STEP) % MACS
        sum += once(mac)
      }
      if (sum === Number.POSITIVE_INFINITY) throw new Error('the sum keeps the work from being left out')
    },
  }
}

const switching = `a switch, ${MACS.toLocaleString('en')} MACs behind ${PEERS} peers`
const routing = `a router, ${(PEERS * (PREFIXES_PER_PEER + 1)).toLocaleString('en')} prefixes of ${PEERS} peers in each family`

export const forwarding: Micro[] = [
  micro(switching, 'find a MAC', (mac) => fdb.find(HIGH, low(mac))),
  micro(switching, 'find a MAC that is unknown', (mac) => fdb.find(HIGH, low(mac + MACS))),
  micro(switching, 'see a known MAC again', (mac) => fdb.learn(HIGH, low(mac), mac % PEERS)),
  micro(switching, 'a frame: learn its source, find its destination', (mac) => {
    it.begin()
    return it.fromPeer(mac * FRAME_BYTES, FRAME_BYTES, ((mac + STEP) % MACS) % PEERS)
  }),
  micro(switching, 'a further frame of the same flow', () => it.fromPeer(0, FRAME_BYTES, STEP % PEERS)),
  micro(routing, 'find an IPv4 address', (mac) => routes.find4(ADDRESSES4 + 4 * (mac % NETS))),
  micro(routing, 'find an IPv6 address', (mac) => routes.find6(ADDRESSES6 + 16 * (mac % NETS))),
  guarded('a packet of the same flow, without rules', false, false),
  guarded('a packet of the same flow, three rules', true, false),
  guarded('a packet of another flow, without rules', false, true),
  guarded('a packet of another flow, three rules', true, true),
]
