import type { PingReport } from '../../src/control/pings.js'
import { isControl, readControl, writeControl } from '../../src/wire/control.js'
import type { SimHost } from './host.js'
import { simTest } from './world.js'

const SECONDS = 1_000

/** The command, as somebody asks for it at the socket. */
async function ping(
  host: SimHost,
  peer: string,
  more: Readonly<Record<string, unknown>> = {},
): Promise<PingReport> {
  const command = host.platform?.commands.ping
  if (command === undefined) throw new Error(`${host.name} answers no commands`)
  return command({ peer, timeout_ms: 2_000, ...more }, () => {}) as Promise<PingReport>
}

const roundTripOf = (report: PingReport) => (report.answer === 'answered' ? report.rtt_ms : Number.NaN)

for (const secret of [true, false]) {
  const kind = secret ? 'private' : 'plain'
  simTest(`a ping measures the way there and back, and tells both path MTUs: ${kind}`, async (t, world) => {
    const { a, b } = await world.pair({ secret })
    world.network.way('a', 'b').delayMs = 30
    world.network.way('b', 'a').delayMs = 12
    world.network.way('b', 'a').mtuBytes = 1400
    await world.pass(300 * SECONDS)
    const there = await world.run(ping(a, 'b'))
    t.match(there, {
      answer: 'answered',
      path_mtu_back_bytes: 1400,
      packet_bytes: secret ? 58 + 33 : 58,
    })
    const back = await world.run(ping(b, 'a'))
    t.match(back, { answer: 'answered', path_mtu_back_bytes: 1500 })
    const nextS = b.peer('a').path_mtu?.next_s ?? 0
    t.match(await world.run(ping(a, 'b', { packet_bytes: 1500 })), { answer: 'answered' })
    await world.pass(2 * SECONDS)
    const passedS = nextS - (b.peer('a').path_mtu?.next_s ?? 0)
    t.ok(passedS > 2 && passedS < 2.5, 'a ping longer than the way back carries starts no search there')
    for (const outcome of [there, back]) t.ok(Math.abs(roundTripOf(outcome) - 42) < 0.5, 'the way, both ways')
    t.ok(Math.abs(Number(a.peer('b').rtt_ms) - 42) < 0.5, `in status: ${a.peer('b').rtt_ms} ms`)
  })

  simTest(`the size of a ping is that of the packet on the underlay: ${kind}`, async (t, world) => {
    const { a, b } = await world.pair({ secret })
    world.between(a, b, { mtuBytes: 1300 })
    await world.pass(30 * SECONDS)
    t.match(await world.run(ping(a, 'b', { packet_bytes: 1300 })), { answer: 'answered', packet_bytes: 1300 })
    t.match(await world.run(ping(a, 'b', { packet_bytes: 1301 })), { answer: 'none', packet_bytes: 1301 })
    t.match(await world.run(ping(a, 'b', { packet_bytes: 1501 })), { answer: 'unsent', reason: 'too_long' })
    await t.rejects(ping(a, 'b', { packet_bytes: 57 }), { message: /its size may be (58|91) to 65535/ })
    await t.rejects(ping(a, 'c'), { message: 'there is no peer "c" any more' })
    await t.rejects(ping(a, 'b', { timeout_ms: 'long' }), { message: /^a ping needs the name of a peer/ })
    t.equal(a.peer('b').path_mtu?.bytes, 1300)
    t.equal(b.peer('a').path_mtu?.bytes, 1300)
  })
}

/** How long it takes until a peer is down, with and without pings that nobody answers. */
const downAfterMs: number[] = []
for (const pings of [false, true]) {
  const how = pings ? 'pings change nothing of what is known of a peer' : 'the same without pings'
  simTest(how, async (t, world) => {
    const { a, b } = await world.pair()
    await world.pass(30 * SECONDS)
    world.between(a, b, { up: false })
    const fromMs = world.time.nowMs
    const lost: Promise<PingReport>[] = []
    const timer = a.clock.every(100, () => {
      if (pings) lost.push(ping(a, 'b'))
    })
    await world.pass(60 * SECONDS, () => a.peer('b').state === 'down')
    t.equal(a.peer('b').state, 'down')
    downAfterMs.push(world.time.nowMs - fromMs)
    timer.cancel()
    await world.pass(3 * SECONDS)
    const outcomes = await Promise.all(lost)
    t.equal(outcomes.length > 50, pings)
    t.same(
      outcomes.filter(({ answer }) => answer !== 'none'),
      [],
    )
    t.equal(a.peer('b').path_mtu?.bytes, 1500)
    t.equal(a.peer('b').path_mtu?.how, 'acknowledged')
    if (!pings) return
    const [without, withPings] = downAfterMs
    t.ok(
      Math.abs(withPings - without) <= SECONDS,
      `down after ${withPings} ms, and ${without} ms without pings`,
    )
  })
}

simTest('an end is not made to answer without end', async (t, world) => {
  const { a, b } = await world.pair({ secret: false })
  await world.pass(30 * SECONDS)
  const before = b.status().drops.control_full
  const asked: Promise<PingReport>[] = []
  const timer = a.clock.every(1, () => {
    for (let count = 0; count < 5; count++) asked.push(ping(a, 'b', { timeout_ms: 100 }))
  })
  await world.pass(1 * SECONDS)
  timer.cancel()
  await world.pass(1 * SECONDS)
  const answered = (await Promise.all(asked)).filter(({ answer }) => answer === 'answered').length
  t.ok(asked.length > 4_500)
  t.ok(answered >= 1_900 && answered <= 2_050, `${answered} of ${asked.length} are answered`)
  t.equal(b.status().drops.control_full - before, asked.length - answered, 'the others are counted')
  t.match(await world.run(ping(a, 'b')), { answer: 'answered' })
  await world.pass(5 * SECONDS)
  t.equal(a.peer('b').state, 'up')
})

simTest('so many may wait, and the end of a tunnel ends them all', async (t, world) => {
  const { a, b } = await world.pair({ secret: false })
  await world.pass(10 * SECONDS)
  world.between(a, b, { up: false })
  const waiting = Array.from({ length: 1_024 }, () => ping(a, 'b', { timeout_ms: 3_600_000 }))
  await t.rejects(ping(a, 'b'), { message: /^1024 pings wait for an answer already/ })
  await a.stop()
  t.ok((await Promise.all(waiting)).every(({ answer }) => answer === 'none'))
})

simTest('without keys, none is sent, and a handshake begins', async (t, world) => {
  const a = world.host('a')
  const b = world.host('b')
  await world.run(Promise.all([a.begin({ peers: [b.asPeer()] }), b.begin({ peers: [] })]))
  await world.pass(200 * SECONDS)
  t.match(await world.run(ping(a, 'b')), { answer: 'unsent', reason: 'no_keys' })
  await b.reload({ peers: [a.asPeer({ endpoint: undefined })] })
  await world.pass(6 * SECONDS)
  t.match(await world.run(ping(a, 'b')), { answer: 'answered' })
})

simTest('without a route, none is sent', async (t, world) => {
  const { a } = await world.pair()
  await world.pass(5 * SECONDS)
  a.attachment.up = false
  await world.pass(1 * SECONDS)
  t.match(await world.run(ping(a, 'b')), { answer: 'unsent', reason: 'no_route' })
})

simTest(
  'an older end answers without its path MTU; what nobody has asked for is no answer',
  async (t, world) => {
    const a = world.host('a', { secret: false })
    const b = world.host('b', { secret: false })
    const to = { address: a.attachment.addresses[0], port: a.port }
    let answers = false
    b.attachment.listeners.set(b.port, (payload) => {
      const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
      const isOurs = isControl(view, 0, payload.length, true)
      const hello = isOurs ? readControl('tap', payload, payload.length) : undefined
      if (hello?.type !== 'hello') return
      const token = answers ? hello.token : hello.token + 1n
      const ack = { type: 'hello_ack', token, sizeBytes: payload.length } as const
      world.network.send(b.attachment, b.port, to, writeControl('tap', ack, 30))
    })
    await a.start({ peers: [b.asPeer()] })
    t.match(await world.run(ping(a, 'b')), { answer: 'none' })
    answers = true
    const outcome = await world.run(ping(a, 'b'))
    t.match(outcome, { answer: 'answered', path_mtu_back_bytes: null })
    t.ok(Math.abs(roundTripOf(outcome) - 10) < 0.5)
  },
)
