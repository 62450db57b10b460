import { INITIATION, MESSAGE } from '../../src/wire/wireguard.js'
import { PORT, simTest } from './world.js'

for (const secret of [true, false]) {
  const kind = secret ? 'private' : 'plain'
  simTest(`nothing that strangers send disturbs a ${kind} tunnel`, async (t, world) => {
    const { random, network } = world
    const mallory = world.host('mallory')
    // Whatever was on the way before is used for forgeries: bits turned, cut, made longer, or just said again.
    const seen: Uint8Array[] = []
    network.watch = ({ from, payload }) => {
      if (from !== 'mallory' && seen.length < 2_000) seen.push(Uint8Array.from(payload))
    }
    const { a, b } = await world.pair({ secret })
    await world.pass(3_000)
    world.flow(a, b, 100)
    world.flow(b, a, 100)
    const forge = (): Uint8Array => {
      const kind = random.between(0, 4)
      if (kind === 0 || seen.length === 0) return random.bytes(random.between(0, 200))
      const real = Buffer.from(random.pick(seen))
      if (kind === 1) return real
      if (kind === 2) return real.subarray(0, random.between(0, real.length + 1))
      for (let flips = random.between(1, 4); flips > 0; flips--)
        real[random.between(0, real.length)] ^= 1 << random.between(0, 8)
      return real
    }
    const own = mallory.attachment.addresses
    for (let i = 0; i < 5_000; i++) {
      const target = random.pick([a, b])
      // Sometimes with the address of the peer.
      mallory.attachment.addresses = random.happens(0.3) ? (target === a ? b : a).attachment.addresses : own
      network.send(mallory.attachment, PORT, { address: target.attachment.addresses[0], port: PORT }, forge())
      if (i % 10 === 0) await world.pass(20)
    }
    mallory.attachment.addresses = own
    network.watch = () => {}
    const before = { a: a.received.length, b: b.received.length }
    await world.pass(5_000)
    // What was forged last is still on the way. In a plain tunnel it may be taken for a frame of the peer.
    t.ok(a.received.length - before.a >= 50)
    t.ok(b.received.length - before.b >= 50)
    t.equal(a.peer('b').endpoint, '198.51.100.3:5149')
    t.equal(b.peer('a').endpoint, '198.51.100.2:5149')
    if (secret) {
      t.ok(
        [...a.texts, ...b.texts].every((text) => /^[ab] \d+$/.test(text)),
        'nothing forged came through',
      )
      t.equal(new Set(a.texts).size, a.texts.length, 'nothing came twice')
    }
    t.ok(a.count(secret ? 'dropWrongMac1' : 'dropForeign') > 0)
  })
}

simTest('odd frames from a peer itself harm nobody', async (t, world) => {
  const { a, b } = await world.pair({ secret: false })
  await world.pass(3_000)
  const seen: Uint8Array[] = []
  world.network.watch = ({ payload }) => void seen.push(Uint8Array.from(payload))
  await world.pass(12_000)
  world.network.watch = () => {}
  const to = { address: a.attachment.addresses[0], port: PORT }
  const { random } = world
  for (let i = 0; i < 5_000; i++) {
    // Control frames with wrong bodies, lengths and tokens.
    const frame = Buffer.from(random.pick(seen)).subarray(0, random.between(0, 64))
    if (frame.length > 14) frame[random.between(14, frame.length)] = random.between(0, 256)
    world.network.send(b.attachment, PORT, to, frame)
    if (i % 20 === 0) await world.pass(10)
  }
  await world.pass(2_000)
  t.ok(a.status().drops.control_malformed > 1_000)
  t.equal(a.peer('b').state, 'up')
  t.equal(a.mtuBytes, 1458)
})

simTest('a flood of initiations keeps nobody out: cookies let the peer in', async (t, world) => {
  const a = world.host('a')
  const b = world.host('b')
  const mallory = world.host('mallory')
  const initiations: Uint8Array[] = []
  world.network.watch = ({ payload }) => {
    if (payload[0] === MESSAGE.initiation && payload.length === INITIATION.size)
      initiations.push(Uint8Array.from(payload))
  }
  // Only an initiation with the right mac1 gets this far. This one is real, and said again and again.
  await b.start({ peers: [a.asPeer()] })
  await world.pass(100)
  await b.stop()
  world.network.watch = () => {}
  t.equal(initiations.length > 0, true)
  await a.start({ peers: [b.asPeer({ endpoint: undefined })] })
  const to = { address: a.attachment.addresses[0], port: PORT }
  const own = mallory.attachment.addresses
  const flood = () => {
    for (let i = 0; i < 10; i++) {
      mallory.attachment.addresses = [`203.0.113.${world.random.between(1, 255)}`]
      world.network.send(mallory.attachment, world.random.between(1_024, 65_536), to, initiations[0])
    }
    world.time.after(1, () => world.time.nowMs < 10_000 && flood())
  }
  flood()
  await world.pass(1_000)
  t.ok(a.count('dropCookie') > 0)
  await b.start()
  await world.pass(7_000)
  a.offer(b, 'through the flood')
  await world.pass(100)
  t.same(b.texts, ['through the flood'])
  mallory.attachment.addresses = own
})
