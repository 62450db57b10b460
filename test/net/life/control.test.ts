import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { ControlMessage } from '../../../src/wire/control.js'
import { readControl, writeControl } from '../../../src/wire/control.js'
import { FarEnd } from '../../support/hosts/far-end.js'
import { startTunnel, twoHosts, until, untilPing } from '../../support/hosts/lab.js'
import { PacketSocket } from '../../support/hosts/packet-socket.js'

const TOKEN = 0x0123456789abcdefn

/** Of IEEE 802's Local Experimental EtherType. */
const BROADCAST_FRAME = Buffer.concat([Buffer.from('ffffffffffff02000000000288b5', 'hex'), Buffer.alloc(46)])

function isHello(message: ControlMessage | undefined): message is ControlMessage {
  return message?.type === 'hello'
}

function isAnswer({ type }: ControlMessage): boolean {
  return type === 'hello_ack' || type === 'probe_ack'
}

for (const mode of ['tap', 'tun'] as const) {
  t.test(`mode ${mode}: two ends know each other by keepalives, without a frame of anybody`, async (t) => {
    using pair = twoHosts()
    const args = ['--mode', mode]
    const a = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, ...args)
    t.match((await a.status(`${mode}0`)).peers[0], { state: 'new', keepalives: null })
    const b = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, ...args)
    for (const end of [a, b]) {
      await until('it is up', async () => (await end.status(`${mode}0`)).peers[0].keepalives === true)
      t.equal((await end.status(`${mode}0`)).peers[0].state, 'up')
    }
    await untilPing(pair.a, '10.9.0.2')
  })
}

t.test('a peer that ends is silent, then down, and heard again', { timeout: 60_000 }, async (t) => {
  using pair = twoHosts()
  const a = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  const b = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  await until('it is up', async () => (await a.status()).peers[0].keepalives === true)
  const startedMs = performance.now()
  await b.stop()
  await a.said(/192\.0\.2\.2 is silent/)
  await a.said(/192\.0\.2\.2 is down: it answers no more/)
  const tookMs = performance.now() - startedMs
  t.ok(tookMs < 22_000, `down after ${(tookMs / 1000).toFixed(1)} s`)
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  await a.said(/192\.0\.2\.2 is heard again/)
  t.equal(a.log.filter(({ msg }) => /is down/.test(String(msg))).length, 1, 'said once')
})

/** What has come to `far` as control frames in tap mode. */
function controlFrames(far: FarEnd): ControlMessage[] {
  return far.received.flatMap((bytes) => readControl('tap', bytes, bytes.length) ?? [])
}

t.test('a probe is answered with its length, and who sends one answers keepalives', async (t) => {
  using pair = twoHosts()
  const a = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  using far = new FarEnd(pair.b)
  far.send(writeControl('tap', { type: 'probe', token: TOKEN, sizeBytes: 0 }, 1400), pair.underlay.a)
  await until('it is answered', () => controlFrames(far).some(isAnswer))
  t.same(controlFrames(far).filter(isAnswer), [{ type: 'probe_ack', token: TOKEN, sizeBytes: 1400 }])
  t.match((await a.status()).peers[0], { state: 'up', keepalives: true })
})

t.test('an end that answers no keepalives is left alone', { timeout: 60_000 }, async (t) => {
  using pair = twoHosts()
  const a = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  using far = new FarEnd(pair.b)
  far.send(BROADCAST_FRAME, pair.underlay.a)
  far.send(writeControl('tap', { type: 'hello_ack', token: TOKEN, sizeBytes: 30 }), pair.underlay.a)
  const hellos = () => controlFrames(far).filter(isHello).length
  await until('it is asked a few times', () => hellos() >= 3)
  await sleep(1_500)
  const asked = hellos()
  await sleep(6_000)
  t.equal(hellos(), asked, 'and no more')
  t.match(
    (await a.status()).peers[0],
    { state: 'up', keepalives: false },
    'an answer to nothing counts for nothing',
  )
})

t.test('what a peer says of a tunnel that only starts waits until it says that it is up', async (t) => {
  using pair = twoHosts()
  using far = new FarEnd(pair.b)
  const hello = writeControl('tap', { type: 'hello', token: TOKEN, sizeBytes: 0 })
  const timer = setInterval(() => far.send(hello, pair.underlay.a), 1)
  try {
    for (let i = 0; i < 3; i++) {
      const a = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
      await a.said(/ is heard$/)
      t.match(a.log[0].msg, /^tap0 is up: /)
      await a.stop()
    }
  } finally {
    clearInterval(timer)
  }
})

t.test(
  'control frames never reach the device, nor leave it; malformed and too many are counted',
  async (t) => {
    using pair = twoHosts()
    const a = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
    using far = new FarEnd(pair.b)
    using tap = new PacketSocket(pair.a, 'tap0')
    const hello = writeControl('tap', { type: 'hello', token: TOKEN, sizeBytes: 0 })
    const broken = hello.slice()
    broken[14] ^= 1
    for (const frame of [broken, broken.subarray(0, 20), broken.subarray(0, 14)])
      far.send(frame, pair.underlay.a)
    await until('they are counted', async () => (await a.status()).drops.control_malformed === 3)
    tap.send(hello)
    await until('it is counted', async () => (await a.status()).drops.control_local === 1)
    far.send(hello, pair.underlay.a, 5149, 50_000)
    await until('it answers on', async () => {
      const before = controlFrames(far).length
      far.send(hello, pair.underlay.a)
      await sleep(50)
      return controlFrames(far).length > before
    })
    const { inbound, drops } = await a.status()
    t.equal(inbound.frames, 0, 'none was given to the device')
    t.ok(drops.control_full > 0, `${drops.control_full} were too many`)
  },
)
