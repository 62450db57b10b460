/**
 * The programs decide as the workers do: random frames and random tables, put to both (`BPF_PROG_TEST_RUN`). What a
 * program leaves to the workers is theirs, but it must not leave what it could have carried.
 */
import fc from 'fast-check'
import t from 'tap'
import { PORT_CARRIED, PORT_DEVICE, PORT_PINNED } from '../../../src/bpf/layout.js'
import type { KernelPath } from '../../../src/control/datapath/kernel-path.js'
import { MacTable } from '../../../src/control/datapath/mac-table.js'
import { PrefixTable } from '../../../src/control/datapath/prefix-table.js'
import { TCX_NEXT } from '../../../src/linux/bpf.js'
import { TC_ACT_REDIRECT, TC_ACT_SHOT } from '../../../src/linux/constants.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import { fdbBytes } from '../../../src/memory/fdb-layout.js'
import { FdbUpkeep } from '../../../src/memory/fdb-upkeep.js'
import type { Route } from '../../../src/memory/prefixes.js'
import { Routes, routesBytes } from '../../../src/memory/routes.js'
import { StormLimit, stormBytes } from '../../../src/memory/storm-limit.js'
import { DEVICE, FILTERED, FLOOD, NOT_ALLOWED } from '../../../src/memory/target.js'
import type { MacAddress } from '../../../src/wire/ethernet.js'
import { Router } from '../../../src/worker/switching/router.js'
import { Switch } from '../../../src/worker/switching/switch.js'
import {
  CONTEXT,
  coming,
  End,
  inner4,
  inner6,
  OTHER_ROW,
  OWN,
  ROW,
  WAYS,
  mac as withMacs,
} from '../../support/hosts/bpf-end.js'
import { tagged } from '../../support/hosts/frames.js'

const PEERS = 16
const FRAME = 2
const FDB = 4096
const ROUTES = FDB + ((fdbBytes(PEERS) + 63) & -64)
const STORMS = ROUTES + routesBytes(64)
const isCarried = (row: number) => row === ROW

/** MACs of which each frame has two, and where the configuration says that some are. */
const POOL: readonly MacAddress[] = [
  OWN,
  ...Array.from({ length: 6 }, (_, it) => [2, 0, 0, 0, 0, 0x51 + it] as const),
]
const GROUP: MacAddress = [1, 0, 0x5e, 0, 0, 1]
const PINNED = { device: POOL[0], carried: POOL[1], others: POOL[2] }

function high(mac: MacAddress): number {
  return (mac[0] << 8) | mac[1]
}
function low(mac: MacAddress): number {
  return (mac[2] << 24) | (mac[3] << 16) | (mac[4] << 8) | mac[5]
}

/** The part of the kernel's path that the tables write. */
function pathOf(end: End): KernelPath {
  const path: Pick<KernelPath, 'setMac' | 'removeMac' | 'setPrefix' | 'removePrefix'> = {
    setMac: (mac, port, { pinned, carried }) => {
      end.mac(
        [...mac],
        (port === DEVICE ? PORT_DEVICE : port) | (pinned ? PORT_PINNED : 0) | (carried ? PORT_CARRIED : 0),
      )
      return true
    },
    removeMac: (mac) => end.removeMac([...mac]),
    setPrefix: ({ address, prefixLength, row }, carried) => {
      end.prefix(Array.from(address), prefixLength, row, carried)
      return true
    },
    removePrefix: ({ address, prefixLength }) => end.removePrefix(Array.from(address), prefixLength),
  }
  return path as KernelPath
}

const frames = fc.record({
  direction: fc.constantFrom<'out' | 'in'>('out', 'in'),
  /** Before the frame, the switch has seen these MACs at these ports. */
  seen: fc.array(fc.tuple(fc.constantFrom(...POOL), fc.constantFrom(DEVICE, ROW, OTHER_ROW)), {
    maxLength: 4,
  }),
  from: fc.constantFrom(...POOL, GROUP, [0, 0, 0, 0, 0, 0] as const),
  to: fc.constantFrom(...POOL, GROUP),
  kind: fc.constantFrom('ipv4', 'ipv6', 'no IP', 'vlan'),
})

t.test('mode tap: the programs and the switch', async (t) => {
  let decided = 0
  for (const way of Object.values(WAYS)) {
    using end = new End(way)
    const memory = NativeMemory.allocate(STORMS + stormBytes(PEERS))
    const fdb = new FdbUpkeep(memory, FDB, PEERS)
    fdb.initialise(() => 12_345)
    const at = (mac: MacAddress, port: number) => ({ macHigh: high(mac), macLow: low(mac) >>> 0, port })
    fdb.pin([at(PINNED.device, DEVICE), at(PINNED.carried, ROW), at(PINNED.others, OTHER_ROW)])
    const table = new MacTable(pathOf(end))
    const storm = new StormLimit(memory, STORMS, () => 1_000_000)
    const workers = new Switch(memory, {
      fdb,
      addresses: new Routes(memory, ROUTES, 8),
      storm,
      peers: { inUse: () => true },
      relay: false,
    })
    fc.assert(
      fc.property(frames, ({ direction, seen, from, to, kind }) => {
        for (const [mac, port] of seen) fdb.learn(high(mac), low(mac), port)
        table.follow(fdb.list(), isCarried)
        const plain = withMacs(kind === 'ipv6' ? inner6() : inner4(), to, from)
        if (kind === 'no IP') plain.writeUInt16BE(0x0806, 12)
        const frame = kind === 'vlan' ? tagged(plain, 7) : plain
        const { result } =
          direction === 'out' ? end.out.try(frame, CONTEXT) : end.in.try(coming(frame, way), CONTEXT)
        const source = fdb.find(high(from), low(from))
        const destination = fdb.find(high(to), low(to))
        memory.u8.set(frame, FRAME)
        workers.begin()
        const target =
          direction === 'out'
            ? workers.fromDevice(FRAME, frame.length, 1)
            : workers.fromPeer(FRAME, frame.length, ROW)
        const isIp = kind === 'ipv4' || kind === 'ipv6'
        if (result !== TCX_NEXT) decided++
        if (direction === 'out') {
          const could = isIp && source === DEVICE && destination === ROW
          return (result === TC_ACT_REDIRECT) === could && (!could || target === ROW)
        }
        // Where such a frame goes follows from what is learnt from it, so the workers may get it.
        if (from === to && result === TCX_NEXT) return true
        if (!isIp || to === GROUP)
          return result === TCX_NEXT || (result === TC_ACT_SHOT && target === NOT_ALLOWED)
        const isDevices = target === DEVICE || target === FLOOD
        if (target === FILTERED || target === NOT_ALLOWED) return result === TC_ACT_SHOT
        return isDevices && result === TC_ACT_REDIRECT
      }),
      { numRuns: 2_000 },
    )
  }
  t.ok(decided > 800, `the programs decided ${decided} of 4,000`)
})

t.test(
  'a frame to its own source: where it goes follows from what is learnt, so the workers get it',
  async (t) => {
    for (const way of Object.values(WAYS)) {
      using end = new End(way)
      const of = (mac: MacAddress) => end.in.try(coming(withMacs(inner4(), mac, mac), way), CONTEXT).result
      t.equal(of(POOL[4]), TCX_NEXT, 'from a MAC that is not known')
      end.mac([...POOL[4]], PORT_DEVICE)
      t.equal(of(POOL[4]), TCX_NEXT, 'from one that was on this side')
      end.mac([...POOL[4]], ROW | PORT_CARRIED)
      t.equal(of(POOL[4]), TC_ACT_SHOT, 'from one that is known to be at this peer')
    }
  },
)

t.test('mode tun: the receiving program and the router', async (t) => {
  const bytes = (length: number) =>
    fc.array(fc.constantFrom(0, 1, 10, 128), { minLength: length, maxLength: length })
  const route = (length: 4 | 16) =>
    fc.record({
      address: bytes(length),
      prefixLength: fc.integer({ min: 0, max: 8 * length }),
      row: fc.constantFrom(ROW, OTHER_ROW),
    })
  const cases = fc.record({
    routes: fc.array(fc.oneof(route(4), route(16)), { maxLength: 12 }),
    addresses: fc.array(fc.oneof(bytes(4), bytes(16)), { minLength: 5, maxLength: 10 }),
  })
  let allowed = 0
  for (const way of Object.values(WAYS)) {
    using end = new End(way, 'tun')
    const memory = NativeMemory.allocate(STORMS)
    const routes = new Routes(memory, ROUTES, 64)
    const table = new PrefixTable(pathOf(end))
    const workers = new Router(memory, routes)
    fc.assert(
      fc.property(cases, ({ routes: wanted, addresses }) => {
        routes.set(wanted as Route[])
        table.follow(wanted as Route[], isCarried)
        return addresses.every((address) => {
          const packet = Buffer.from((address.length === 4 ? inner4 : inner6)().subarray(14))
          packet.set(address, address.length === 4 ? 12 : 8)
          memory.u8.set(packet, FRAME)
          workers.begin()
          const target = workers.fromPeer(FRAME, packet.length, ROW)
          const { result } = end.in.try(coming(packet, way, 'tun'), CONTEXT)
          // 0.0.x.y are the addresses of probes. The workers decide about those.
          if (address.length === 4 && address[0] === 0 && address[1] === 0) return result === TCX_NEXT
          if (target === DEVICE) allowed++
          return result === (target === DEVICE ? TC_ACT_REDIRECT : TC_ACT_SHOT)
        })
      }),
      { numRuns: 300 },
    )
  }
  t.ok(allowed > 200, `${allowed} were allowed`)
})
