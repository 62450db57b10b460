import t from 'tap'
import { EMSGSIZE, ENETUNREACH } from '../../src/linux/errno.js'
import { SimClock, SimTime } from './clock.js'
import { fragmentsOf } from './fragments.js'
import { NAT_KINDS, SimNat } from './nat.js'
import { SimAttachment, type SimIcmp, SimNetwork } from './network.js'
import { SimRandom } from './random.js'

const PORT = 5149

/** Two hosts, and what comes to each. */
function twoHosts(seed = 1) {
  const time = new SimTime()
  const random = new SimRandom(seed)
  const network = new SimNetwork(time, random)
  const place = (name: string, address: string, nat?: SimNat) => {
    const host = new SimAttachment(name, [address], nat)
    const came: { text: string; from: string; atMs: number }[] = []
    host.listeners.set(PORT, (payload, from) =>
      came.push({
        text: Buffer.from(payload).toString(),
        from: `${from.address}:${from.port}`,
        atMs: time.nowMs,
      }),
    )
    network.attach(host)
    return { host, came }
  }
  return { time, random, network, place }
}

const bytes = (text: string) => Buffer.from(text)

t.test('time passes only when it is let, and events come in their order', async (t) => {
  const time = new SimTime()
  const clock = new SimClock(time)
  const seen: string[] = []
  clock.after(20, () => seen.push(`b ${clock.nowMs()}`))
  clock.after(10, () => seen.push(`a ${clock.nowMs()}`))
  const every = clock.every(15, () => seen.push(`every ${clock.nowMs()}`))
  clock.after(20, () => seen.push('c')).cancel()
  await time.pass(9)
  t.same(seen, [])
  await time.pass(36)
  t.same(seen, ['a 10', 'every 15', 'b 20', 'every 30', 'every 45'])
  every.cancel()
  await time.pass(1000)
  t.equal(seen.length, 5)
  t.equal(clock.running, 0)
})

t.test('a promise that an event resolves is followed before the next event', async (t) => {
  const time = new SimTime()
  const seen: number[] = []
  const answer = (async () => {
    await new Promise<void>((resolve) => time.after(10, resolve))
    await undefined
    time.after(5, () => seen.push(time.nowMs))
  })()
  time.after(20, () => seen.push(time.nowMs))
  await time.pass(100)
  await answer
  t.same(seen, [15, 20])
})

t.test('a datagram arrives after the delay; a lost one does not; the same seed loses the same', async (t) => {
  const run = async (seed: number) => {
    const { time, network, place } = twoHosts(seed)
    const a = place('a', '198.51.100.1')
    const b = place('b', '198.51.100.2')
    network.between('a', 'b', { delayMs: 7, loss: 0.5, duplication: 0.1, jitterMs: 3 })
    for (let i = 0; i < 100; i++)
      network.send(a.host, PORT, { address: '198.51.100.2', port: PORT }, bytes(`${i}`))
    await time.pass(100)
    return b.came
  }
  const came = await run(1)
  t.ok(came.length > 30 && came.length < 80, `${came.length} of 100 came`)
  t.ok(came.every(({ atMs }) => atMs >= 7 && atMs <= 10))
  t.equal(came[0].from, '198.51.100.1:5149')
  t.same(await run(1), came)
  t.notSame(await run(2), came)
})

t.test('what is too long is refused by the interface, or by a router that may say so', async (t) => {
  const { time, network, place } = twoHosts()
  const a = place('a', '198.51.100.1')
  const b = place('b', '198.51.100.2')
  const to = { address: '198.51.100.2', port: PORT }
  const heard: SimIcmp[] = []
  a.host.onIcmp = (icmp) => heard.push(icmp)
  t.equal(network.send(a.host, PORT, to, new Uint8Array(1473)), EMSGSIZE)
  network.between('a', 'b', { mtuBytes: 1400 })
  t.equal(network.send(a.host, PORT, to, new Uint8Array(1373)), 0)
  await time.pass(100)
  t.match(heard, [{ kind: 'too_big', mtuBytes: 1400, port: PORT }])
  network.between('a', 'b', { icmp: false })
  network.send(a.host, PORT, to, new Uint8Array(1373))
  network.send(a.host, PORT, to, new Uint8Array(1372))
  network.send(a.host, PORT, { ...to, port: 9 }, bytes('closed'))
  await time.pass(100)
  t.equal(b.came.length, 1)
  t.match(heard[1], { kind: 'port_unreachable' })
  t.equal(heard.length, 2)
  a.host.up = false
  t.equal(network.send(a.host, PORT, to, bytes('x')), ENETUNREACH)
})

t.test('the lengths of fragments', async (t) => {
  t.same(fragmentsOf(1500, 1500, 'ipv4'), [1500])
  t.same(fragmentsOf(1501, 1500, 'ipv4'), [1500, 21])
  t.same(fragmentsOf(1575, 1400, 'ipv4'), [1396, 199], 'all but the last have a multiple of 8')
  t.same(fragmentsOf(4000, 1500, 'ipv4'), [1500, 1500, 1040])
  t.same(fragmentsOf(1595, 1500, 'ipv6'), [1496, 155])
})

t.test(
  'over IPv4 a datagram goes in fragments where it may; over IPv6 only its host makes them',
  async (t) => {
    for (const [first, second, ipBytes] of [
      ['198.51.100.1', '198.51.100.2', 20],
      ['2001:db8::1', '2001:db8::2', 40],
    ] as const) {
      const { time, network, place } = twoHosts()
      const a = place('a', first)
      const b = place('b', second)
      const heard: SimIcmp[] = []
      a.host.onIcmp = (icmp) => heard.push(icmp)
      const left: (readonly number[])[] = []
      network.watch = ({ packets }) => left.push(packets)
      network.between('a', 'b', { mtuBytes: 1300 })
      const send = (payloadBytes: number, options = {}) =>
        network.send(a.host, PORT, { address: second, port: PORT }, new Uint8Array(payloadBytes), options)
      t.equal(send(1600), EMSGSIZE)
      t.equal(send(1600, { mayFragment: true }), 0)
      t.equal(send(1300, { mayFragment: true }), 0)
      t.equal(send(1300, { mayFragment: true, pathMtuBytes: 1300 }), 0)
      await time.pass(100)
      const whole = 1300 + ipBytes + 8
      if (ipBytes === 20) {
        t.equal(b.came.length, 3)
        t.same(left, [fragmentsOf(1628, 1500, 'ipv4'), [whole], [whole]])
        t.same(heard, [])
      } else {
        t.equal(b.came.length, 1, 'the host must know what the path carries')
        t.same(left, [fragmentsOf(1648, 1500, 'ipv6'), [whole], fragmentsOf(whole, 1300, 'ipv6')])
        t.match(heard, [{ kind: 'too_big' }, { kind: 'too_big' }])
      }
    }
  },
)

t.test('one lost fragment is the whole datagram; and some ways lose all fragments', async (t) => {
  const { time, network, place } = twoHosts()
  const a = place('a', '198.51.100.1')
  const b = place('b', '198.51.100.2')
  const came = async (payloadBytes: number, times = 1) => {
    const before = b.came.length
    const to = { address: '198.51.100.2', port: PORT }
    for (let i = 0; i < times; i++)
      network.send(a.host, PORT, to, new Uint8Array(payloadBytes), { mayFragment: true })
    await time.pass(100)
    return b.came.length - before
  }
  for (const lost of [0, 1]) {
    network.swallowsFragment = (index) => index === lost
    t.same([await came(1600), await came(100)], [0, 1], `fragment ${lost}`)
  }
  network.swallowsFragment = () => false
  t.equal(await came(1600), 1)
  network.between('a', 'b', { fragments: false })
  t.same([await came(1600), await came(1472)], [0, 1])
  network.between('a', 'b', { fragments: true, loss: 0.2 })
  const [short, long] = [await came(100, 1_000), await came(4_000, 1_000)]
  t.ok(short > 750 && short < 850, `${short} of 1000`)
  t.ok(long > 460 && long < 560, `${long} of 1000 in three fragments, and 0.8³ is 0.512`)
})

t.test('a NAT lets in only what was asked for, and forgets', async (t) => {
  for (const kind of ['cone', 'symmetric'] as const) {
    const { time, random, network, place } = twoHosts()
    const nat = new SimNat(time, random, '203.0.113.1', NAT_KINDS[kind])
    const a = place('a', '10.0.0.1', nat)
    const b = place('b', '198.51.100.2')
    const c = place('c', '198.51.100.3')
    const send = (from: SimAttachment, address: string, port: number, text: string) =>
      network.send(from, PORT, { address, port }, bytes(text))
    send(b.host, '203.0.113.1', PORT, 'unasked')
    await time.pass(50)
    send(a.host, '198.51.100.2', PORT, 'hello')
    send(a.host, '198.51.100.3', PORT, 'hello')
    await time.pass(50)
    t.same(a.came, [])
    const [seenByB, seenByC] = [b, c].map(({ came }) => came[0].from)
    t.equal(seenByB === seenByC, kind === 'cone', kind)
    const port = Number(seenByB.split(':')[1])
    if (kind === 'cone') t.equal(port, PORT, 'the port is kept where it is free')
    send(b.host, '203.0.113.1', port, 'answer')
    await time.pass(50)
    t.match(a.came, [{ text: 'answer', from: '198.51.100.2:5149' }])
    await time.pass(121_000)
    send(b.host, '203.0.113.1', port, 'too late')
    await time.pass(50)
    t.equal(a.came.length, 1)
  }
})
