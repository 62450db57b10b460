import { randomInt } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { connect, Host } from '../../../src/lab/host.js'
import { createLink, getLink, setLink } from '../../../src/linux/interface.js'
import {
  arp,
  BROADCAST,
  bridgeProtocolUnit,
  ETHERTYPE,
  frame,
  ipv4,
  ipv6,
  NOBODY,
  padded,
  STRANGER,
  tagged,
} from '../../support/hosts/frames.js'
import {
  ok,
  pings,
  type RunningTunnel,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import { Noise } from '../../support/hosts/noise.js'
import { type Captured, PacketSocket } from '../../support/hosts/packet-socket.js'
import { transfer } from '../../support/hosts/transfer.js'

const MTU_BYTES = 1458
const seed = randomInt(2 ** 31)
const noise = new Noise(seed)
t.comment(`random frames come from the seed ${seed}`)

const pair = twoHosts()
t.teardown(() => pair[Symbol.dispose]())
const a = await startTunnel(pair.a, '10.9.0.1', 'fd00:9::1', pair.underlay.b)
const b = await startTunnel(pair.b, '10.9.0.2', 'fd00:9::2', pair.underlay.a)
await untilPing(pair.a, '10.9.0.2')

const tapA = new PacketSocket(pair.a, 'tap0')
const tapB = new PacketSocket(pair.b, 'tap0')
t.teardown(() => {
  tapA[Symbol.dispose]()
  tapB[Symbol.dispose]()
})

/** Fewer than a tap's queue holds. */
const BURST = 100
const FLOOD = 20_000

/** Sends the frames into one interface and checks that they come out of the other, the same and in order. */
async function cross(t: Test, from: PacketSocket, to: PacketSocket, frames: readonly Buffer[]) {
  to.flush()
  for (let at = 0; at < frames.length; at += BURST) {
    const burst = frames.slice(at, at + BURST)
    for (const it of burst) from.send(it)
    const came = await to.capture(
      burst.length,
      ({ outgoing, bytes }) => !outgoing && bytes.subarray(6, 12).equals(Buffer.from(STRANGER)),
    )
    const wrong = burst.findIndex((it, index) => !came[index]?.bytes.equals(it))
    if (wrong === -1) continue
    t.equal(came[wrong]?.bytes.toString('hex'), burst[wrong].toString('hex'), `frame ${at + wrong}`)
    return
  }
  t.pass(`${frames.length} frames came out as they went in`)
}

const random = (bytes: number) => noise.bytes(bytes)
const many = <T>(count: number, make: (index: number) => T) =>
  Array.from({ length: count }, (_, i) => make(i))

/** Not those that the kernel takes for a VLAN tag and, where no whole tag follows, drops. */
function randomType(): number {
  const type = noise.integer(0x0600, 0xffff)
  return type === ETHERTYPE.vlan || type === ETHERTYPE.serviceVlan ? ETHERTYPE.experimental : type
}

const KINDS: Readonly<Record<string, () => Buffer[]>> = {
  'ARP requests and replies': () => [
    frame(BROADCAST, ETHERTYPE.arp, arp(1)),
    frame(NOBODY, ETHERTYPE.arp, arp(2)),
  ],
  'IPv4 packets, with options and in fragments': () => [
    frame(NOBODY, ETHERTYPE.ipv4, ipv4(17, random(300))),
    frame(NOBODY, ETHERTYPE.ipv4, ipv4(17, random(300), Buffer.from([0x94, 4, 0, 0]))),
    frame(NOBODY, ETHERTYPE.ipv4, ipv4(17, random(800), undefined, 0x2000)),
    frame(NOBODY, ETHERTYPE.ipv4, ipv4(17, random(41), undefined, 100)),
  ],
  'IPv6 packets, with extension headers and in fragments': () => [
    frame(NOBODY, ETHERTYPE.ipv6, ipv6(17, random(300))),
    frame(NOBODY, ETHERTYPE.ipv6, ipv6(0, Buffer.from([59, 0, 5, 2, 0, 0, 1, 0]))),
    frame(
      NOBODY,
      ETHERTYPE.ipv6,
      ipv6(44, Buffer.concat([Buffer.from([17, 0, 0, 1, 1, 2, 3, 4]), random(800)])),
    ),
  ],
  'ESP and AH packets': () =>
    [50, 51].flatMap((protocol) => [
      frame(NOBODY, ETHERTYPE.ipv4, ipv4(protocol, random(256))),
      frame(NOBODY, ETHERTYPE.ipv6, ipv6(protocol, random(256))),
    ]),
  'broadcasts and multicasts': () => [
    frame(BROADCAST, ETHERTYPE.experimental, random(64)),
    frame([0x01, 0x00, 0x5e, 0, 0, 251], ETHERTYPE.ipv4, ipv4(17, random(64))),
    frame([0x33, 0x33, 0, 0, 0, 0xfb], ETHERTYPE.ipv6, ipv6(17, random(64))),
  ],
  'spanning-tree BPDUs': () => many(3, bridgeProtocolUnit),
  '802.1Q tags, priority tags and two tags at once': () => [
    tagged(frame(NOBODY, ETHERTYPE.ipv4, ipv4(17, random(200))), 42),
    tagged(frame(NOBODY, ETHERTYPE.ipv4, ipv4(17, random(200))), 0xe000),
    tagged(tagged(frame(NOBODY, ETHERTYPE.ipv4, ipv4(17, random(200))), 7), 4094, ETHERTYPE.serviceVlan),
    tagged(frame(BROADCAST, ETHERTYPE.arp, arp(1)), 1),
  ],
  'frames of 14 bytes, a header alone, and of 60, the least on a wire': () => [
    frame(NOBODY, ETHERTYPE.experimental, Buffer.alloc(0)),
    frame(NOBODY, ETHERTYPE.experimental, padded(random(1), 46)),
  ],
  'frames of every length from a header alone to a full MTU': () =>
    many(MTU_BYTES + 1, (bytes) => frame(NOBODY, ETHERTYPE.experimental, random(bytes))),
  'frames of random EtherTypes, lengths and content': () =>
    many(1000, () => frame(NOBODY, randomType(), random(noise.integer(0, MTU_BYTES)))),
}

for (const [kind, make] of Object.entries(KINDS)) {
  t.test(`${kind} cross unchanged and in order`, async (t) => {
    const frames = make()
    await cross(t, tapA, tapB, frames)
    await cross(t, tapB, tapA, frames)
  })
}

t.test('ARP and neighbour discovery find the other host, by the MAC that its tap has', async (t) => {
  t.ok(await pings(pair.a, '10.9.0.2'))
  t.ok(await pings(pair.a, 'fd00:9::2'))
  const mac = pair.b.netlink((netlink) => getLink(netlink, 'tap0').mac)
  for (const address of ['10.9.0.2', 'fd00:9::2']) {
    const [neighbour] = JSON.parse(
      await ok(pair.a, 'ip', '-j', 'neigh', 'show', 'dev', 'tap0', 'to', address),
    )
    t.equal(neighbour.lladdr, mac, address)
  }
})

t.test('a host answers broadcast and multicast pings from the other', async (t) => {
  pair.b.run(() => writeFileSync('/proc/sys/net/ipv4/icmp_echo_ignore_broadcasts', '0'))
  t.match(await ok(pair.a, 'ping', '-c', '1', '-W', '2', '-b', '10.9.0.255'), /bytes from 10\.9\.0\.2/)
  t.match(await ok(pair.a, 'ping', '-c', '1', '-W', '2', '-I', 'tap0', '224.0.0.1'), /bytes from 10\.9\.0\.2/)
  // The first answer to a group that one belongs to is one's own.
  await until('both hosts answer', async () => {
    const said = await ok(pair.a, 'ping', '-c', '2', '-i', '0.2', '-W', '2', '-I', 'tap0', 'ff02::1')
    return new Set(said.match(/(?<=bytes from )\S+(?=: |%)/g)).size === 2
  })
})

/** The frames that an end dropped, but those that its host has no protocol for, which have been captured. */
async function dropped(tunnel: RunningTunnel): Promise<number> {
  const { device_receive: _, ...drops } = (await tunnel.status()).drops
  return Object.values(drops).reduce((sum, count) => sum + count, 0)
}

t.test('nothing of all that was dropped on the way', async (t) => {
  t.equal(await dropped(a), 0)
  t.equal(await dropped(b), 0)
})

t.test(
  'of a flood both ways at once, frames arrive whole, in order and once, or are counted as dropped',
  async (t) => {
    const numbered = (number: number) => {
      const payload = Buffer.alloc(46 + ((number * 7919) % 1400))
      payload.fill(`frame ${number};`)
      payload.writeUInt32BE(number)
      return frame(NOBODY, ETHERTYPE.experimental, payload)
    }
    const isNumbered = ({ outgoing, bytes }: Captured) =>
      !outgoing && bytes.readUInt16BE(12) === ETHERTYPE.experimental
    const flood = async (from: PacketSocket, to: PacketSocket) => {
      to.flush()
      let sent = 0
      const arrived: Buffer[] = []
      const take = async (withinMs: number) => {
        for (const { bytes } of await to.capture(FLOOD, isNumbered, withinMs)) arrived.push(bytes)
      }
      for (let number = 0; number < FLOOD; number++) {
        if (from.trySend(numbered(number))) sent++
        if (number % BURST === 0) await take(1)
      }
      for (let before = -1; before !== arrived.length; ) {
        before = arrived.length
        await take(300)
      }
      return { sent, arrived }
    }
    const before = (await dropped(a)) + (await dropped(b))
    const floods = await Promise.all([flood(tapA, tapB), flood(tapB, tapA)])
    for (const { sent, arrived } of floods) {
      const numbers = arrived.map((it) => it.readUInt32BE(14))
      t.ok(arrived.length > sent / 10, `${arrived.length} of ${sent} arrived`)
      t.equal(
        numbers.findIndex((it, index) => index > 0 && it <= numbers[index - 1]),
        -1,
        'in order',
      )
      t.equal(
        arrived.findIndex((it, index) => !it.equals(numbered(numbers[index]))),
        -1,
        'whole',
      )
    }
    const lost = floods.reduce((sum, { sent, arrived }) => sum + sent - arrived.length, 0)
    t.equal((await dropped(a)) + (await dropped(b)) - before, lost, `all ${lost} that did not arrive`)
  },
)

t.test('a full frame with a tag is too long for the path by the tag, and counted', async (t) => {
  const before = (await a.status()).drops.over_path
  const full = frame(NOBODY, ETHERTYPE.experimental, random(MTU_BYTES))
  tapA.send(tagged(full, 5))
  await until('it is counted', async () => (await a.status()).drops.over_path === before + 1)
  await cross(t, tapA, tapB, [full])
})

t.test(
  'with an MTU that leaves room for it, a full frame crosses with its tag, jumbo frames too',
  async (t) => {
    using jumbo = twoHosts(9000)
    const mtuBytes = 9000 - 42 - 4
    await startTunnel(jumbo.a, '10.9.0.1', jumbo.underlay.b, '--mtu', String(mtuBytes))
    await startTunnel(jumbo.b, '10.9.0.2', jumbo.underlay.a, '--mtu', String(mtuBytes))
    await untilPing(jumbo.a, '10.9.0.2')
    using near = new PacketSocket(jumbo.a, 'tap0')
    using far = new PacketSocket(jumbo.b, 'tap0')
    // At least two bytes, or the kernel at the far end could not look behind the tag and would drop the frame.
    const lengths = [...many(100, () => noise.integer(2, mtuBytes)), ...many(100, (i) => mtuBytes - i)]
    const frames = lengths.map((bytes) => frame(NOBODY, ETHERTYPE.experimental, random(bytes)))
    await cross(t, near, far, frames)
    await cross(
      t,
      far,
      near,
      frames.map((it, index) => tagged(it, index)),
    )
  },
)

t.test('the tap is a port of a bridge, and a host behind that is in the same Ethernet', async (t) => {
  using c = new Host('c')
  connect(
    { host: pair.b, device: 'port1', addresses: [] },
    { host: c, device: 'eth0', addresses: ['10.9.0.3/24', 'fd00:9::3/64'] },
    MTU_BYTES,
  )
  pair.b.netlink((netlink) => {
    createLink(netlink, 'bridge', 'br0')
    const master = getLink(netlink, 'br0').index
    for (const port of ['tap0', 'port1']) setLink(netlink, getLink(netlink, port).index, { master })
    setLink(netlink, master, { up: true })
  })
  // A bridge that snoops, or that asks netfilter (br_netfilter), drops what calls itself IP and is not.
  await ok(pair.b, 'ip', 'link', 'set', 'br0', 'type', 'bridge', 'mcast_snooping', '0')
  for (const tables of ['iptables', 'ip6tables', 'arptables'])
    await ok(pair.b, 'sysctl', '-qew', `net.bridge.bridge-nf-call-${tables}=0`)
  await untilPing(c, '10.9.0.1')
  t.ok(await pings(pair.a, '10.9.0.3', '-s', String(MTU_BYTES - 28), '-M', 'do'))
  await untilPing(pair.a, 'fd00:9::3')

  using ethC = new PacketSocket(c, 'eth0')
  // A bridge keeps spanning tree's group to itself.
  const frames = Object.entries(KINDS).flatMap(([kind, make]) => (kind.startsWith('spanning') ? [] : make()))
  await cross(t, tapA, ethC, frames)
  await cross(t, ethC, tapA, frames)
  const { listener, connector } = await transfer({
    listener: c,
    address: '10.9.0.3',
    connector: pair.a,
    bytes: 8_000_000,
  })
  t.same(listener.received, connector.sent)
  t.same(connector.received, listener.sent)
})
