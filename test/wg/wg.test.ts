/** The real wg(8) asks a running tunnel and changes it. */
import { existsSync, fstatSync, readFileSync, statSync } from 'node:fs'
import t from 'tap'
import type { ReloadReport } from '../../src/control/reload.js'
import type { Host } from '../../src/lab/host.js'
import {
  IN_VAIN,
  ok,
  type Pair,
  PROGRAM,
  pings,
  type RunningTunnel,
  run,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../support/hosts/lab.js'
import { KeyFolder, type KeyPair, keyFlags, WireGuardGo } from '../support/hosts/wireguard-go.js'

const PORT = 51_820
const NOBODY = 'B6gwV2a8ZXmtHHSZyLDpfxaJTTRGNlZ/ivZHYVtZNWw='

/** udptun-fast in `a`, wireguard-go in `b`. */
class Meeting implements AsyncDisposable {
  readonly pair: Pair = twoHosts()
  readonly keys = new KeyFolder()
  readonly own: KeyPair = this.keys.make('a')
  readonly theirs: KeyPair = this.keys.make('b')
  /** Hosts share /var/run, so the name is that of no other. */
  readonly device = `uf${fstatSync(this.pair.a.namespace.fd).ino}`
  readonly path = `/var/run/wireguard/${this.device}.sock`
  #go: WireGuardGo | undefined
  #tunnel: RunningTunnel | undefined

  get a(): Host {
    return this.pair.a
  }

  get go(): WireGuardGo {
    if (this.#go === undefined) throw new Error('not started')
    return this.#go
  }

  get tunnel(): RunningTunnel {
    if (this.#tunnel === undefined) throw new Error('not started')
    return this.#tunnel
  }

  async start(): Promise<this> {
    const { pair, own, theirs, device } = this
    const key = ['listen-port', `${PORT}`, 'private-key', theirs.file]
    const peer = ['peer', own.publicKey, 'allowed-ips', '10.9.0.1/32,10.9.1.0/24']
    this.#go = await WireGuardGo.start(pair.b, '10.9.0.2/24', ...key, ...peer)
    const mode = ['--mode', 'tun', '--dev', device, '--table', 'off', ...keyFlags(own, theirs)]
    this.#tunnel = await startTunnel(pair.a, '10.9.0.1', `${pair.underlay.b}:${PORT}`, ...mode)
    await untilPing(pair.a, '10.9.0.2')
    return this
  }

  wg(...args: string[]): Promise<string> {
    return ok(this.a, 'wg', ...args)
  }

  /** Sets something of the only peer. */
  set(...settings: string[]): Promise<string> {
    return this.wg('set', this.device, 'peer', this.theirs.publicKey, ...settings)
  }

  /** Writes a file for wg, and gives it to `command`. */
  async file(command: 'setconf' | 'addconf' | 'syncconf', ...lines: string[]): Promise<void> {
    await this.wg(command, this.device, this.keys.write('wg.conf', lines.join('\n')))
  }

  /** A column of `wg show` about the peer. */
  async show(what: string, key = this.theirs.publicKey): Promise<string | undefined> {
    const lines = (await this.wg('show', this.device, what)).trim().split('\n')
    const columns = lines.map((line) => line.split('\t')).find(([first]) => first === key)
    return columns?.slice(1).join(' ')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tunnel?.stop()
    await this.#go?.[Symbol.asyncDispose]()
    this.pair[Symbol.dispose]()
    this.keys[Symbol.dispose]()
  }
}

t.test('wg shows what there is, only to the owner, and while it is there', async (t) => {
  await using it = await new Meeting().start()
  const { device, own, theirs, pair, path } = it
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.ok((await it.wg('show', 'interfaces')).split(/\s+/).includes(device))
  const secret = (await ok(it.a, 'cat', own.file)).trim()
  const [first, peer, ...rest] = (await it.wg('show', device, 'dump'))
    .trim()
    .split('\n')
    .map((line) => line.split('\t'))
  t.same(first, [secret, own.publicKey, '5149', 'off'])
  t.same(rest, [])
  const [key, psk, endpoint, allowed, handshake, received, sent, keepalive] = peer
  t.same(
    [key, psk, endpoint, allowed, keepalive],
    [theirs.publicKey, '(none)', `${pair.underlay.b}:${PORT}`, '0.0.0.0/0,::/0', 'off'],
  )
  t.ok(Math.abs(Date.now() / 1000 - Number(handshake)) < 10)
  t.ok(Number(received) >= 84 && Number(sent) >= 84, 'at least a ping')
  t.equal(
    await it.wg('showconf', device),
    `[Interface]\nListenPort = 5149\nPrivateKey = ${secret}\n\n[Peer]\nPublicKey = ${theirs.publicKey}\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = ${pair.underlay.b}:${PORT}\n`,
  )
  await it.tunnel.stop()
  t.notOk(existsSync(path))
})

t.test('what wg sets is so, and no ping is lost', async (t) => {
  await using it = await new Meeting().start()
  const { device, own, pair, theirs } = it
  const handshake = await it.show('latest-handshakes')
  const pinging = run(it.a, 'ping', ['-i', '0.02', '-c', '200', '-W', '2', '10.9.0.2'])
  await it.set('persistent-keepalive', '7')
  t.equal(await it.show('persistent-keepalive'), '7')
  await it.set('allowed-ips', '10.9.0.2/32,10.9.2.0/24,fd00:2::/32')
  t.equal(await it.show('allowed-ips'), '10.9.0.2/32 10.9.2.0/24 fd00:2::/32')
  await it.set('endpoint', `${pair.underlay.b}:${PORT}`)
  await it.wg('set', device, 'peer', NOBODY, 'allowed-ips', '10.9.2.0/24', 'endpoint', '[2001:db8::7]:7')
  t.equal(await it.show('allowed-ips'), '10.9.0.2/32 fd00:2::/32')
  t.match(
    [await it.show('allowed-ips', NOBODY), await it.show('endpoints', NOBODY)],
    ['10.9.2.0/24', '[2001:db8::7]:7'],
  )
  const psk = it.keys.preshared('p')
  await it.wg('set', device, 'peer', NOBODY, 'preshared-key', psk)
  t.equal(await it.show('preshared-keys', NOBODY), (await ok(it.a, 'cat', psk)).trim())
  await it.wg('set', device, 'peer', NOBODY, 'remove')
  t.equal(await it.show('allowed-ips', NOBODY), undefined)

  t.comment('files')
  const before = await it.wg('showconf', device)
  await it.file('addconf', '[Peer]', `PublicKey = ${NOBODY}`, 'AllowedIPs = 10.9.7.0/24')
  t.equal(await it.show('allowed-ips', NOBODY), '10.9.7.0/24')
  await it.file('syncconf', before)
  t.equal(await it.wg('showconf', device), before)
  await it.file('addconf', '[Peer]', `PublicKey = ${NOBODY}`, 'AllowedIPs = 10.9.7.0/24')
  await it.file('setconf', before)
  t.equal(await it.wg('showconf', device), before)

  const { stdout } = await pinging
  t.match(stdout, / 200 received/)
  t.equal(await it.show('latest-handshakes'), handshake, 'one handshake was enough for all')

  t.comment('a preshared key, first at this end and then at the other')
  await it.set('preshared-key', psk)
  t.ok(await pings(it.a, '10.9.0.2'))
  await it.go.set('peer', own.publicKey, 'preshared-key', psk)
  t.ok(await pings(it.a, '10.9.0.2'))
  await until('there are new keys', async () => (await it.show('latest-handshakes')) !== handshake, 15_000)
  t.ok(await pings(it.a, '10.9.0.2'))
  const { peers } = await it.tunnel.status(device)
  t.match(peers[0].privacy, { preshared_key: true, persistent_keepalive_s: 7 })
  t.equal(await it.show('preshared-keys'), (await ok(it.a, 'cat', psk)).trim())
  t.equal(it.tunnel.stderr, '')
  t.equal((await it.tunnel.status(device)).faults.count, 0)
  t.ok(theirs)
})

t.test('another port: a new socket in the place of the old one, and the peer follows', async (t) => {
  await using it = await new Meeting().start()
  const { device, pair } = it
  const handshake = await it.show('latest-handshakes')
  await it.wg('set', device, 'listen-port', '7000')
  t.equal((await it.wg('show', device, 'listen-port')).trim(), '7000')
  t.match(await ok(it.a, 'ss', '-Hulpn'), /:7000\b/)
  t.notMatch(await ok(it.a, 'ss', '-Hulpn'), /:5149\b/)
  await untilPing(it.a, '10.9.0.2')
  await until('it follows', async () => (await it.go.show('endpoints'))[0] === `${pair.underlay.a}:7000`)
  t.ok(await pings(pair.b, '10.9.0.1'))
  t.equal(await it.show('latest-handshakes'), handshake)
  const busy = await run(pair.a, 'python3', [
    '-c',
    `import socket,subprocess;s=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM);s.bind(("::",7001));print(subprocess.run(["wg","set","${device}","listen-port","7001"]).returncode)`,
  ])
  t.equal(busy.stdout.trim(), '1')
  t.match(busy.stderr, /Address already in use/)
  t.ok(await pings(it.a, '10.9.0.2'))
  await it.wg('set', device, 'listen-port', '0')
  const chosen = Number(await it.wg('show', device, 'listen-port'))
  t.ok(chosen > 1024 && chosen !== 7000, `${chosen}`)
  await untilPing(it.a, '10.9.0.2')
  t.equal((await it.tunnel.status(device)).faults.count, 0)
})

t.test('a mark decides about the routes, and another port keeps it', async (t) => {
  await using it = await new Meeting().start()
  const { a, device } = it
  const way = async () => (await it.tunnel.status(device)).peers[0].underlay?.interface
  await ok(a, 'ip', 'rule', 'add', 'fwmark', '7', 'lookup', '77')
  await ok(a, 'ip', 'route', 'add', 'unreachable', 'default', 'table', '77')
  await it.wg('set', device, 'fwmark', '7')
  t.equal((await it.wg('show', device, 'fwmark')).trim(), '0x7')
  t.equal(await way(), null)
  t.notOk(await pings(a, '10.9.0.2', ...IN_VAIN))
  await it.wg('set', device, 'listen-port', '7000')
  t.notOk(await pings(a, '10.9.0.2', ...IN_VAIN))
  await ok(a, 'ip', 'route', 'add', '192.0.2.0/24', 'dev', 'eth0', 'table', '77')
  await untilPing(a, '10.9.0.2')
  await until('main knows it, too', async () => (await way()) === 'eth0')
  await ok(a, 'ip', 'route', 'del', '192.0.2.0/24', 'table', '77')
  await it.wg('set', device, 'fwmark', 'off')
  await untilPing(a, '10.9.0.2')
  t.equal((await it.wg('show', device, 'fwmark')).trim(), 'off')
  t.equal((await it.tunnel.status(device)).faults.count, 0)
})

t.test('another private key: both ends begin again as soon as both know it', async (t) => {
  await using it = await new Meeting().start()
  const { a, device, own, theirs, go, keys } = it
  const next = keys.make('next')
  const handshake = async () => Number(await it.show('latest-handshakes'))
  const known = (key: string) =>
    go.set('peer', key, 'allowed-ips', '10.9.0.1/32,10.9.1.0/24', 'persistent-keepalive', '1')
  const before = await handshake()
  await it.wg('set', device, 'private-key', next.file)
  t.equal((await it.wg('show', device, 'public-key')).trim(), next.publicKey)
  t.notOk(await pings(a, '10.9.0.2', ...IN_VAIN), 'the other end does not know this key')
  t.equal(await handshake(), before)
  t.match((await it.tunnel.status(device)).privacy, { public_key: next.publicKey })
  await go.set('peer', own.publicKey, 'remove')
  await known(next.publicKey)
  await untilPing(a, '10.9.0.2', 20_000)
  t.ok(await pings(it.pair.b, '10.9.0.1'))

  t.comment('by a file that has another key, and no peer')
  const secret = async (key: KeyPair) => (await ok(a, 'cat', key.file)).trim()
  await it.file('syncconf', '[Interface]', `PrivateKey = ${await secret(own)}`, 'ListenPort = 5149')
  t.equal((await it.wg('show', device, 'peers')).trim(), '')
  await it.file(
    'setconf',
    ...['[Interface]', `PrivateKey = ${await secret(own)}`, 'ListenPort = 5149', '[Peer]'],
    ...[
      `PublicKey = ${theirs.publicKey}`,
      'AllowedIPs = 0.0.0.0/0',
      `Endpoint = ${it.pair.underlay.b}:${PORT}`,
    ],
  )
  await known(own.publicKey)
  await untilPing(a, '10.9.0.2', 20_000)

  t.comment('no key: whoever asks gets no answer')
  await it.wg('set', device, 'private-key', '/dev/null')
  t.equal((await it.wg('show', device, 'private-key')).trim(), '(none)')
  t.notMatch(await it.wg('showconf', device), /PrivateKey/)
  const drops = async () => (await it.tunnel.status(device)).drops.wrong_mac1
  const [at, sent] = [await handshake(), await drops()]
  await until('the other end asks in vain', async () => (await drops()) > sent, 30_000)
  t.notOk(await pings(a, '10.9.0.2', ...IN_VAIN))
  t.equal(await handshake(), at)
  t.equal((await it.tunnel.status(device)).privacy?.public_key, null)
  await it.wg('set', device, 'private-key', own.file)
  await untilPing(a, '10.9.0.2', 20_000)

  t.comment('the key of the peer: it is removed, as there is nobody else with that key')
  await it.wg(
    'set',
    device,
    'private-key',
    theirs.file,
    'peer',
    theirs.publicKey,
    'allowed-ips',
    '10.9.7.0/24',
  )
  t.equal((await it.wg('show', device, 'peers')).trim(), '')
  t.equal(it.tunnel.stderr, '')
  t.equal((await it.tunnel.status(device)).faults.count, 0)
})

t.test('a file with another key, read again: the sessions begin again', async (t) => {
  await using it = new Meeting()
  const { pair, own, theirs, device, keys } = it
  const next = keys.make('next')
  const peer = ['allowed-ips', '10.9.0.1/32', 'persistent-keepalive', '1']
  await using go = await WireGuardGo.start(
    pair.b,
    '10.9.0.2/24',
    ...['listen-port', `${PORT}`, 'private-key', theirs.file, 'peer', own.publicKey, ...peer],
  )
  const write = (file: string, key: KeyPair) => keys.write(file, readFileSync(key.file, 'utf8'))
  const key = write('key', own)
  const text = `local: [10.9.0.1/24]\nmode: tun\ntable: off\ndev: ${device}\nprivate_key_file: ${key}\nremote: ${pair.underlay.b}:${PORT}\npublic_key: ${theirs.publicKey}\n`
  const config = keys.write('tunnel.yaml', text)
  const tunnel = await startTunnel(pair.a, '--config', config)
  await untilPing(pair.a, '10.9.0.2')
  const reload = async () =>
    JSON.parse(await ok(pair.a, process.execPath, PROGRAM, 'reload', device)) as ReloadReport
  t.match(await reload(), { private_key: false, changed: [], needs_restart: [] })
  t.ok(await pings(pair.a, '10.9.0.2'))
  write('key', next)
  t.match(await reload(), { private_key: true, changed: [], needs_restart: [] })
  t.equal((await tunnel.status(device)).peers[0].privacy?.handshake_s, null)
  await go.set('peer', own.publicKey, 'remove', 'peer', next.publicKey, ...peer)
  await untilPing(pair.a, '10.9.0.2', 20_000)
  t.match((await tunnel.status(device)).privacy, { public_key: next.publicKey })
  await tunnel.stop()
})

t.test('what cannot be set is refused, and nothing changes', async (t) => {
  await using it = await new Meeting().start()
  const { device, own } = it
  const before = await it.wg('showconf', device)
  await it.wg('set', device, 'fwmark', '0', 'private-key', own.file, 'listen-port', '5149')
  await it.wg('set', device, 'peer', own.publicKey, 'allowed-ips', '10.0.0.0/8')
  t.equal(await it.wg('showconf', device), before, 'this host itself is no peer')
  t.ok(await pings(it.a, '10.9.0.2'))
})

t.test('a name that another tunnel has stays its', async (t) => {
  await using it = await new Meeting().start()
  const { device, pair, own, theirs } = it
  const args = ['10.9.5.2', pair.underlay.a, '--mode', 'tun', '--dev', device, ...keyFlags(theirs, own)]
  const second = await startTunnel(pair.b, ...args)
  const said = second.log.map(({ msg }) => String(msg)).filter((msg) => msg.startsWith('wg '))
  t.same(said, [`wg cannot ask this tunnel: another tunnel or program answers at ${it.path}`])
  await second.stop()
  t.equal((await it.wg('show', device, 'public-key')).trim(), own.publicKey)
  it.tunnel.child.kill('SIGKILL')
  await it.tunnel.ended
  t.ok(existsSync(it.path), 'a killed tunnel leaves it behind')
  const third = await startTunnel(pair.b, ...args)
  t.match(await ok(pair.b, 'wg', 'show', device, 'public-key'), theirs.publicKey)
  await third.stop()
  t.notOk(existsSync(it.path))
})
