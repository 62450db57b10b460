import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { ControlMessage } from '../../../src/wire/control.js'
import { readControl, writeControl } from '../../../src/wire/control.js'
import { FarEnd } from '../../support/hosts/far-end.js'
import { ok, startTunnel, twoHosts, until, untilPing } from '../../support/hosts/lab.js'
import { PacketSocket } from '../../support/hosts/packet-socket.js'
import { KeyFolder, keyFlags } from '../../support/hosts/wireguard-go.js'

// Most of what is here is waiting.
t.jobs = 4

const TOKEN = 0x0123456789abcdefn

/** Of IEEE 802's Local Experimental EtherType. */

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

for (const flags of [
  ['--mode', 'tap'],
  ['--mode', 'tun'],
  ['--mode', 'tap', 'private'],
]) {
  t.test(
    `${flags.join(' ')}: a peer's frames are those of the device, control frames are in neither count`,
    async (t) => {
      using pair = twoHosts()
      using keys = new KeyFolder()
      for (const host of [pair.a, pair.b])
        await ok(host, 'sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1')
      const [ka, kb] = ['a', 'b'].map((name) => keys.make(name))
      const own = (mine: typeof ka, theirs: typeof ka) => (flags.length > 2 ? keyFlags(mine, theirs) : [])
      const args = flags.slice(0, 2)
      const a = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, ...args, ...own(ka, kb))
      await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, ...args, ...own(kb, ka))
      const peer = async () => (await a.status(`${flags[1]}0`)).peers[0]
      await until(
        'it is known, and the path, too',
        async () => {
          const { keepalives, path_mtu } = await peer()
          return keepalives === true && path_mtu?.how === 'acknowledged'
        },
        20_000,
      )
      // The kernel of each host may have announced its address by ARP.
      for (const { frames, bytes } of [(await peer()).outbound, (await peer()).inbound])
        t.ok(frames <= 1 && bytes <= 80, `${frames} frames of ${bytes} bytes`)
      await ok(pair.a, 'ping', '-c', '3', '-i', '0.2', '10.9.0.2')
      const after = await peer()
      t.ok(after.inbound.frames >= 3 && after.inbound.frames <= after.outbound.frames, JSON.stringify(after))
    },
  )
}

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
