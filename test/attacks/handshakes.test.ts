import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { newPrivateKey } from '../../src/crypto/primitives.js'
import { parseKey } from '../../src/key-text.js'
import { createInitiation, knowPeer, Protocol } from '../../src/noise/handshake.js'
import { Identity, OwnIdentity } from '../../src/noise/keys.js'
import { MacStamp } from '../../src/noise/macs.js'
import { tai64n } from '../../src/noise/tai64n.js'
import type { Flood, FloodReport } from '../support/hosts/flooder.js'
import { ok, type RunningTunnel, startWarmTunnel, twoHosts, untilPing } from '../support/hosts/lab.js'
import { KeyFolder, keyFlags } from '../support/hosts/wireguard-go.js'

const FLOODER = fileURLToPath(new URL('../support/hosts/flooder.js', import.meta.url))
const PER_SECOND = 50_000
const SECONDS = 4
const ATTEMPTS = 3

/** What whoever knows a host's public key can make: initiations that are right in all but who they are from. */
function strangersInitiations(publicKey: string, count: number): string[] {
  const key = parseKey(publicKey)
  if (key === undefined) throw new Error('no key')
  const stranger = new OwnIdentity(randomBytes(32))
  const host = knowPeer(stranger, new Identity(key))
  if (host === undefined) throw new Error('a key of small order')
  return Array.from({ length: count }, (_, index) => {
    const { message } = createInitiation(
      Protocol.ethernet,
      stranger,
      host,
      index + 1,
      newPrivateKey(),
      tai64n(Date.now()),
    )
    new MacStamp(host.identity).stamp(message, 0)
    return message.toString('base64')
  })
}

t.test(
  '50,000 handshakes a second from spoofed sources leave a tunnel at least half of what it carries',
  async (t) => {
    using keys = new KeyFolder()
    using pair = twoHosts()
    const [ka, kb] = [keys.make('a'), keys.make('b')]
    const near = await startWarmTunnel(pair.a, '10.9.0.1', pair.underlay.b, ...keyFlags(ka, kb))
    const far = await startWarmTunnel(pair.b, '10.9.0.2', pair.underlay.a, ...keyFlags(kb, ka))
    await untilPing(pair.a, '10.9.0.2')
    pair.b.spawn('iperf3', ['-s'], { stdio: 'ignore' })
    await sleep(500)
    /** Megabits a second over TCP for some seconds. */
    const rate = async (): Promise<number> => {
      const json = JSON.parse(await ok(pair.a, 'iperf3', '-c', '10.9.0.2', '-t', String(SECONDS - 1), '-J'))
      return json.end.sum_received.bits_per_second / 1e6
    }
    const flood = async (payloads: readonly string[]): Promise<FloodReport> => {
      const from = Array.from({ length: 64 }, (_, index) => ({
        address: `192.0.2.${100 + index}`,
        port: 4000 + index,
      }))
      const to = { address: pair.underlay.b, port: 5149 }
      const datagrams = PER_SECOND * SECONDS
      const options: Flood = { to, from, datagrams, maxBytes: 148, seed: 1, payloads, perSecond: PER_SECOND }
      return JSON.parse(await ok(pair.a, process.execPath, FLOODER, JSON.stringify(options)))
    }
    const random = Array.from({ length: 64 }, () => {
      const message = randomBytes(148)
      message.set([1, 0, 0, 0])
      return message.toString('base64')
    })
    for (const [what, payloads] of [
      ['without the right mac1', random],
      ["that know the host's key", strangersInitiations(kb.publicKey, 64)],
    ] as const) {
      // What else the machine does changes from one second to the next: each rate is held against one beside it.
      let best = 0
      for (let attempt = 0; attempt < ATTEMPTS && best < 0.5; attempt++) {
        const before = await rate()
        const [during, report] = await Promise.all([sleep(300).then(rate), flood(payloads)])
        best = Math.max(best, during / before)
        const perSecond = Math.round((report.sent / report.tookMs) * 1000)
        const [from, to] = [before, during].map(Math.round)
        t.comment(`${perSecond} a second ${what}: TCP ${from} Mbit/s before, ${to} during`)
      }
      t.ok(best >= 0.5, `${Math.round(best * 100)} % left by those ${what}`)
    }
    await seenThrough(t, far)
    t.equal((await far.status()).peers[0].endpoint, `${pair.underlay.a}:5149`)
    t.ok((await untilPing(pair.a, '10.9.0.2')) < 2_000)
    await near.stop()
    await far.stop()
  },
)

async function seenThrough(t: Test, tunnel: RunningTunnel): Promise<void> {
  const { drops, peers } = await tunnel.status()
  t.ok(drops.wrong_mac1 > 1_000, `${drops.wrong_mac1} with a wrong mac1`)
  const known = drops.handshake_cookie + drops.handshakes_full + drops.handshake_unknown_peer
  t.ok(
    known > 1_000 && drops.handshake_cookie > 100,
    `${known}, of which ${drops.handshake_cookie} got a cookie`,
  )
  t.ok(peers[0].privacy?.handshake_s !== null)
}
