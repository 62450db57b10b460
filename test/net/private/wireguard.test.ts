import { fileURLToPath } from 'node:url'
import t from 'tap'
import {
  IN_VAIN,
  ok,
  type Pair,
  pings,
  RunningTunnel,
  run,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import { transfer } from '../../support/hosts/transfer.js'
import { KeyFolder, type KeyPair, keyFlags, WireGuardGo } from '../../support/hosts/wireguard-go.js'

// Most of what is here is waiting.
t.jobs = 2

const MiB = 1024 * 1024
const PORT = 51_820

/** Two hosts: udptun-fast in `a`, wireguard-go to be in `b`, and what each needs to know the other. */
class Meeting implements Disposable {
  readonly pair: Pair
  readonly keys = new KeyFolder()
  readonly own: KeyPair
  readonly theirs: KeyPair

  constructor() {
    this.pair = twoHosts()
    this.own = this.keys.make('a')
    this.theirs = this.keys.make('b')
  }

  /** Arguments of `start`. */
  args(...more: string[]): string[] {
    const { own, theirs, pair } = this
    const mode = ['--mode', 'tun', ...keyFlags(own, theirs)]
    return ['10.9.0.1', `${pair.underlay.b}:${PORT}`, ...mode, ...more]
  }

  /** Settings of wireguard-go; it knows where udptun-fast is when told so. */
  settings(...more: string[]): string[] {
    const key = ['listen-port', `${PORT}`, 'private-key', this.theirs.file]
    return [...key, 'peer', this.own.publicKey, 'allowed-ips', '10.9.0.1/32', ...more]
  }

  get endpoint(): string[] {
    return ['endpoint', `${this.pair.underlay.a}:5149`]
  }

  [Symbol.dispose](): void {
    this.pair[Symbol.dispose]()
    this.keys[Symbol.dispose]()
  }
}

t.test('udptun-fast begins: handshake, TCP both ways whole, and status tells of it', async (t) => {
  using it = new Meeting()
  await using go = await WireGuardGo.start(it.pair.b, '10.9.0.2/24', ...it.settings())
  const tunnel = await startTunnel(it.pair.a, ...it.args())
  await untilPing(it.pair.a, '10.9.0.2')
  const ends = { listener: it.pair.b, connector: it.pair.a, address: '10.9.0.2', bytes: 12 * MiB }
  const { listener, connector, tookMs } = await transfer(ends)
  t.same(listener.received, connector.sent)
  t.same(connector.received, listener.sent)
  t.equal(listener.received.bytes, 12 * MiB)
  t.comment(`12 MiB each way in ${Math.round(tookMs)} ms`)

  const { privacy, peers, drops } = await tunnel.status('tun0')
  t.match(privacy?.crypto, /OpenSSL 3/)
  t.equal(privacy?.public_key, it.own.publicKey)
  t.ok((peers[0].privacy?.handshake_s ?? 1e9) < 60)
  t.equal(peers[0].endpoint, `${it.pair.underlay.b}:${PORT}`)
  t.equal(drops.not_authentic + drops.replayed + drops.not_private, 0)
  const [handshake] = await go.show('latest-handshakes')
  t.ok(Math.abs(Date.now() / 1000 - Number(handshake)) < 60)
  const secret = (await ok(it.pair.a, 'cat', it.own.file)).trim()
  const said = JSON.stringify([await tunnel.status('tun0'), tunnel.log])
  t.ok(said.includes(it.own.publicKey))
  t.notOk(said.includes(secret), 'the private key is nowhere')
  await tunnel.stop()
})

t.test(
  'wireguard-go begins, and udptun-fast need not be told where it is; with a preshared key',
  async (t) => {
    using it = new Meeting()
    const psk = it.keys.preshared('ab')
    const file = it.keys.write(
      'wg0.conf',
      [
        '[Interface]',
        `PrivateKey = ${(await ok(it.pair.a, 'cat', it.own.file)).trim()}`,
        'Address = 10.9.0.1/24',
        'ListenPort = 5149',
        '[Peer]',
        `PublicKey = ${it.theirs.publicKey}`,
        `PresharedKey = ${(await ok(it.pair.a, 'cat', psk)).trim()}`,
        'AllowedIPs = 10.9.0.2/32',
      ].join('\n'),
    )
    const tunnel = await startTunnel(it.pair.a, '--wireguard', file)
    const known = [...it.endpoint, 'preshared-key', psk]
    await using go = await WireGuardGo.start(it.pair.b, '10.9.0.2/24', ...it.settings(...known))
    await untilPing(it.pair.b, '10.9.0.1')
    const { listener, connector } = await transfer({
      listener: it.pair.a,
      connector: it.pair.b,
      address: '10.9.0.1',
      bytes: 4 * MiB,
    })
    t.same(listener.received, connector.sent)
    t.same(connector.received, listener.sent)
    t.equal((await tunnel.status('tun0')).peers[0].privacy?.preshared_key, true)

    t.comment('with another preshared key there is no tunnel')
    await go.set('peer', it.own.publicKey, 'preshared-key', it.keys.preshared('other'))
    await tunnel.stop()
    const again = await startTunnel(it.pair.a, '--wireguard', file)
    t.notOk(await pings(it.pair.b, '10.9.0.1', ...IN_VAIN))
    await again.stop()
  },
)

t.test('either end starts anew, and the other finds it again', async (t) => {
  using it = new Meeting()
  const go = await WireGuardGo.start(it.pair.b, '10.9.0.2/24', ...it.settings(...it.endpoint))
  const first = await startTunnel(it.pair.a, ...it.args())
  await untilPing(it.pair.a, '10.9.0.2')
  await first.stop('SIGKILL')
  const second = await startTunnel(it.pair.a, ...it.args())
  const afterOurs = await untilPing(it.pair.a, '10.9.0.2')
  await go[Symbol.asyncDispose]()
  await using again = await WireGuardGo.start(it.pair.b, '10.9.0.2/24', ...it.settings(...it.endpoint))
  const afterTheirs = await untilPing(it.pair.b, '10.9.0.1', 20_000)
  t.ok(await pings(it.pair.a, '10.9.0.2'))
  t.equal(again.device, go.device)
  t.comment(`ours ${Math.round(afterOurs)} ms, theirs ${Math.round(afterTheirs)} ms`)
  await second.stop()
})

t.test('an end that moves to another address and port is followed, on authentic data alone', async (t) => {
  using it = new Meeting()
  await using go = await WireGuardGo.start(it.pair.b, '10.9.0.2/24', ...it.settings(...it.endpoint))
  const tunnel = await startTunnel(it.pair.a, ...it.args())
  await untilPing(it.pair.a, '10.9.0.2')
  await ok(it.pair.b, 'ip', 'addr', 'del', `${it.pair.underlay.b}/24`, 'dev', 'eth0')
  it.pair.b.configure('eth0', ['192.0.2.77/24'])
  await go.set('listen-port', '51999')
  await untilPing(it.pair.b, '10.9.0.1')
  t.ok(await pings(it.pair.a, '10.9.0.2'))
  await tunnel.said(/has moved to 192\.0\.2\.77:51999/)
  const { peers } = await tunnel.status('tun0')
  t.equal(peers[0].endpoint, '192.0.2.77:51999')

  t.comment('bytes that nobody sealed move nothing')
  const junk =
    'import socket,os;s=socket.socket(2,2);s.bind(("0.0.0.0",6666));[s.sendto(b"\\4\\0\\0\\0"+os.urandom(60),("192.0.2.1",5149)) for _ in range(50)]'
  await ok(it.pair.b, 'python3', '-c', junk)
  await until('they are counted', async () => (await tunnel.status('tun0')).drops.unknown_index >= 50)
  t.equal((await tunnel.status('tun0')).peers[0].endpoint, '192.0.2.77:51999')
  t.ok(await pings(it.pair.a, '10.9.0.2'))
  await tunnel.stop()
})

t.test('keys are renewed while traffic flows, and nothing of it is lost', async (t) => {
  using it = new Meeting()
  await using go = await WireGuardGo.start(it.pair.b, '10.9.0.2/24', ...it.settings())
  const file = it.keys.write(
    'wg0.conf',
    [
      '[Interface]',
      `PrivateKey = ${(await ok(it.pair.a, 'cat', it.own.file)).trim()}`,
      'Address = 10.9.0.1/24',
      'ListenPort = 5149',
      '[Peer]',
      `PublicKey = ${it.theirs.publicKey}`,
      `Endpoint = ${it.pair.underlay.b}:${PORT}`,
      'AllowedIPs = 10.9.0.2/32',
    ].join('\n'),
  )
  const times = JSON.stringify({ rekeyAfterMs: 1_500, rekeyTimeoutMs: 500 })
  const script = fileURLToPath(new URL('../../support/hosts/short-times.js', import.meta.url))
  const tunnel = new RunningTunnel(it.pair.a, [file], [], { command: [process.execPath, script, times] })
  await tunnel.said(/ is up: /)
  await untilPing(it.pair.a, '10.9.0.2')
  const made = async () => (await tunnel.status('tun0')).peers[0].privacy?.handshake_s ?? 1e9
  let renewals = 0
  let last = await made()
  const timer = setInterval(async () => {
    const now = await made().catch(() => last)
    if (now < last) renewals++
    last = now
  }, 100)
  const flood = await run(it.pair.a, 'ping', ['-c', '600', '-i', '0.01', '-q', '10.9.0.2'])
  clearInterval(timer)
  t.match(flood.stdout, / 0% packet loss/)
  t.ok(renewals >= 3, `${renewals} renewals`)
  t.ok(go.device)
  await tunnel.stop()
})

t.test('a persistent keepalive keeps a silent tunnel open', async (t) => {
  using it = new Meeting()
  await using go = await WireGuardGo.start(it.pair.b, '10.9.0.2/24', ...it.settings())
  const tunnel = await startTunnel(it.pair.a, ...it.args('--persistent-keepalive', '1'))
  const received = async () => Number((await go.show('transfer'))[0])
  await until('the first', async () => (await received()) > 0)
  const before = await received()
  await until('three more', async () => (await received()) >= before + 3 * 32, 6_000)
  const [endpoint] = await go.show('endpoints')
  t.equal(endpoint, `${it.pair.underlay.a}:5149`)
  await tunnel.stop()
})
