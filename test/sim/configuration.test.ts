import type { Configurable } from '../../src/command/wireguard/server.js'
import { parseSet } from '../../src/command/wireguard/set-text.js'
import { formatPrefix } from '../../src/config/addresses.js'
import { formatKey } from '../../src/key-text.js'
import { EADDRINUSE, EINVAL } from '../../src/linux/errno.js'
import { clampPrivateKey, derivePublicKey } from '../../src/noise/keys.js'
import type { SimHost } from './host.js'
import { type SimWorld, simTest } from './world.js'

/** The other host as a peer, in mode tun. */
const asPeer = (host: SimHost, more: Readonly<Record<string, unknown>> = {}) =>
  host.asPeer({ macs: undefined, ...more })

async function start(world: SimWorld) {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => world.host(name))
  const settings = (...peers: Record<string, unknown>[]) => ({ mode: 'tun', peers })
  await world.run(
    Promise.all([
      a.begin(settings(asPeer(b, { prefixes: ['10.9.2.0/24'], persistent_keepalive: 1 }))),
      b.begin(settings(asPeer(a, { prefixes: ['10.9.1.0/24'], persistent_keepalive: 1 }))),
      c.begin(settings(asPeer(a, { prefixes: ['10.9.1.0/24'], persistent_keepalive: 1 }))),
    ]),
  )
  await world.pass(5_000)
  const setOf = async (host: SimHost, ...lines: string[]) => {
    const configurable = host.platform?.configurable as Configurable
    const operation = parseSet(Buffer.from(lines.map((line) => `${line}\n`).join('')))
    if (typeof operation === 'number') throw new Error(`errno ${operation}`)
    const errno = await world.run(configurable.set(operation))
    await world.pass(100)
    return errno
  }
  const own = a.platform?.configurable as Configurable
  const get = () => own.get()
  return { a, b, c, get, set: (...lines: string[]) => setOf(a, ...lines), setOf }
}

const keyOf = (key: Uint8Array | undefined) => Buffer.from(key ?? []).toString('hex')
const at = (host: SimHost) => `public_key=${host.publicKey.toString('hex')}`

simTest('wg sees what a tunnel has', async (t, world) => {
  const { a, b, get } = await start(world)
  const { listenPort, fwmark, peers } = get()
  t.same([listenPort, fwmark, peers.length], [5149, 0, 1])
  const [peer] = peers
  t.same(Buffer.from(peer.publicKey), b.publicKey)
  t.match(peer, { endpoint: { port: 5149 }, persistentKeepaliveS: 1 })
  t.same(peer.allowedIps.map(formatPrefix), ['10.9.2.0/24'])
  const agoMs = a.clock.unixMs() - (peer.lastHandshakeMs ?? 0)
  t.ok(agoMs > 3_000 && agoMs <= 5_000, `the handshake was ${agoMs} ms ago`)
})

simTest('only another public key makes another peer', async (t, world) => {
  const { a, b, c, get, set } = await start(world)
  const handshake = () => get().peers[0].lastHandshakeMs
  const before = handshake()
  const rows = a.rowsInUse
  t.equal(await set(at(b), 'persistent_keepalive_interval=2', 'allowed_ip=fd00:2::/32'), 0)
  t.equal(await set('replace_peers=true', at(b), 'allowed_ip=10.9.2.0/24'), 0)
  t.equal(await set(at(b), 'update_only=true', 'replace_allowed_ips=true'), 0)
  t.equal(await set(`private_key=${keyOf(get().privateKey)}`, 'listen_port=5149', 'fwmark=0'), 0)
  t.same([handshake(), a.rowsInUse, a.peer('b').state], [before, rows, 'up'])
  t.match(get().peers[0], { persistentKeepaliveS: 0, allowedIps: [] })
  t.same(get().peers[0].endpoint, { address: b.attachment.addresses[0], port: 5149 }, 'it is where it was')

  t.comment('a preshared key of one end only: what goes on goes on')
  const psk = '07'.repeat(32)
  t.equal(await set(at(b), `preshared_key=${psk}`, 'persistent_keepalive_interval=1'), 0)
  t.equal(Buffer.from(get().peers[0].presharedKey).toString('hex'), psk)
  await world.pass(20_000)
  t.equal(a.peer('b').state, 'up')
  t.equal(handshake(), before)
  t.equal(await set(at(b), 'persistent_keepalive_interval=3'), 0)
  t.equal(
    Buffer.from(get().peers[0].presharedKey).toString('hex'),
    psk,
    'it stays when something else changes',
  )
  t.equal(await set(at(b), `preshared_key=${'00'.repeat(32)}`), 0)
  await world.pass(20_000)
  t.ok((handshake() ?? 0) > (before ?? 0), 'without it there are new keys')

  t.equal(await set(at(b), 'remove=true', at(c), 'allowed_ip=10.9.3.0/24'), 0)
  await world.pass(10_000)
  t.same(
    get().peers.map(({ publicKey }) => Buffer.from(publicKey)),
    [c.publicKey],
  )
  t.ok(get().peers[0].lastHandshakeMs, 'the new peer has come by itself')
  t.same(get().peers[0].endpoint, { address: c.attachment.addresses[0], port: 5149 })
  t.equal(a.said(/wg has changed the peers/).length > 3, true)
})

simTest('an endpoint that is set is taken, even the same one again after a move', async (t, world) => {
  const { b, get, set } = await start(world)
  const [first] = b.attachment.addresses
  b.attachment.addresses = ['198.51.100.50']
  await world.pass(5_000)
  t.equal(get().peers[0].endpoint?.address, '198.51.100.50')
  const other = '198.51.100.60'
  t.equal(await set(at(b), 'persistent_keepalive_interval=0', `endpoint=${first}:5149`), 0)
  t.equal(get().peers[0].endpoint?.address, first)
  b.attachment.addresses = [other]
  t.equal(await set(at(b), `endpoint=${other}:5149`), 0)
  await world.pass(2_000)
  t.equal(get().peers[0].endpoint?.address, other)
})

simTest('another port: the peers follow, and no handshake is needed', async (t, world) => {
  const { a, b, get, set } = await start(world)
  const { lastHandshakeMs } = get().peers[0]
  for (const [port, then] of [
    [7_000, 7_000],
    [0, 34_567],
  ]) {
    t.equal(await set(`listen_port=${port}`), 0)
    t.equal(get().listenPort, then)
    await world.pass(1_000)
    t.equal(b.peer('a').endpoint, `${a.attachment.addresses[0]}:${then}`)
  }
  await world.pass(30_000)
  t.same([a.peer('b').state, b.peer('a').state], ['up', 'up'])
  t.equal(get().peers[0].lastHandshakeMs, lastHandshakeMs)
  a.attachment.listeners.set(7_001, () => {})
  t.equal(await set('fwmark=9'), 0)
  t.equal(await set('fwmark=7', 'listen_port=7001', at(b), 'remove=true'), EADDRINUSE)
  t.same([get().listenPort, get().fwmark, get().peers.length], [34_567, 9, 1])
  a.attachment.listeners.delete(7_001)
})

simTest('another private key ends all sessions, and handshakes begin again', async (t, world) => {
  const { a, b, c, get, set, setOf } = await start(world)
  const handshakes = () => get().peers.map(({ lastHandshakeMs }) => lastHandshakeMs ?? 0)
  const own = keyOf(get().privateKey)
  const [before] = handshakes()
  const key = clampPrivateKey(world.random.bytes(32))
  const publicKey = derivePublicKey(key).toString('hex')
  const asA = [
    `public_key=${publicKey}`,
    `endpoint=${a.attachment.addresses[0]}:5149`,
    'allowed_ip=10.9.1.0/24',
  ]
  const wanted = (end: string) => `private_key=${end}`
  t.equal(await set(wanted(key.toString('hex'))), 0)
  t.equal(keyOf(get().privateKey), key.toString('hex'))
  await world.pass(20_000)
  t.same([handshakes()[0], a.peer('b').privacy?.handshake_s], [before, null], 'b does not know this key')
  t.equal(a.rowsInUse.length, 1)
  t.equal(await setOf(b, 'replace_peers=true', ...asA, 'persistent_keepalive_interval=1'), 0)
  await world.pass(10_000)
  t.ok(handshakes()[0] > (before ?? 0), 'b knows it now')
  t.equal(b.peer(formatKey(derivePublicKey(key)).slice(0, 8)).state, 'up')

  t.comment('a peer with the key that this host gets is gone')
  t.equal(await set(at(c), 'allowed_ip=10.9.3.0/24'), 0)
  t.equal(get().peers.length, 2)
  t.equal(await set(wanted(keyOf(c.privateKey)), at(c), 'allowed_ip=10.9.4.0/24'), 0)
  t.same(
    get().peers.map(({ publicKey }) => Buffer.from(publicKey)),
    [b.publicKey],
  )

  t.comment('no key: nothing begins, and nothing is answered')
  t.equal(await set(wanted('00'.repeat(32))), 0)
  t.equal(get().privateKey, undefined)
  const last = handshakes()[0]
  await world.pass(200_000)
  t.same([a.peer('b').privacy?.handshake_s, handshakes()[0]], [null, last])
  t.equal(await set(wanted(own)), 0)
  t.equal(
    await setOf(b, 'replace_peers=true', `public_key=${a.publicKey.toString('hex')}`, ...asA.slice(1)),
    0,
  )
  await world.pass(20_000)
  t.ok(handshakes()[0] > last, 'with the first key again')
  t.equal(a.said(/all sessions have ended/).length, 4)
})

simTest('what cannot be, changes nothing', async (t, world) => {
  const { a, b, get, set } = await start(world)
  const before = JSON.stringify(get().peers.map(({ rxBytes, txBytes, ...rest }) => rest))
  const own = keyOf(get().privateKey)
  const other = Buffer.from(world.random.bytes(32)).toString('hex')
  t.equal(
    await set(
      `private_key=${other}`,
      'listen_port=7002',
      at(b),
      'remove=true',
      `public_key=${'00'.repeat(32)}`,
    ),
    EINVAL,
  )
  t.same([keyOf(get().privateKey), get().listenPort, a.publicKey.length], [own, 5149, 32])
  t.equal(
    await set(`public_key=${'00'.repeat(32)}`, at(b), 'remove=true'),
    EINVAL,
    'a key that no host can have',
  )
  t.equal(JSON.stringify(get().peers.map(({ rxBytes, txBytes, ...rest }) => rest)), before)
})

simTest('a plain tunnel, and one of mode tap, is none of wg', async (t, world) => {
  const { a, b } = await world.pair()
  const [c, d] = ['c', 'd'].map((name) => world.host(name, { secret: false }))
  await c.start({ mode: 'tun', peers: [asPeer(d)] })
  t.same(
    [a, b, c].map((host) => host.platform?.configurable),
    [undefined, undefined, undefined],
  )
})
