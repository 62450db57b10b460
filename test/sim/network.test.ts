import t from 'tap'
import { EMSGSIZE, ENETUNREACH } from '../../src/linux/errno.js'
import { SimClock, SimTime } from './clock.js'
import { SimNat } from './nat.js'
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

t.test('a NAT lets in only what was asked for, and forgets', async (t) => {
  for (const kind of ['cone', 'symmetric'] as const) {
    const { time, random, network, place } = twoHosts()
    const nat = new SimNat(time, random, '203.0.113.1', kind)
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
