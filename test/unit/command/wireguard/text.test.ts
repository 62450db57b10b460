import fc from 'fast-check'
import t from 'tap'
import { errnoText, writeGet } from '../../../../src/command/wireguard/get-text.js'
import type { PeerConfiguration, SetOperation } from '../../../../src/command/wireguard/operation.js'
import { parseSet } from '../../../../src/command/wireguard/set-text.js'
import { formatPrefix, type Prefix, parsePrefix } from '../../../../src/config/addresses.js'
import { EINVAL, EPROTO } from '../../../../src/linux/errno.js'

const KEY = '0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20'
const OTHER = KEY.split('').reverse().join('')
const ZEROS = '0'.repeat(64)
const PEER = `public_key=${KEY}`

const parse = (...lines: string[]) => parseSet(Buffer.from(lines.map((line) => `${line}\n`).join('')))

/** The operation, of lines that must make sense. */
function operation(...lines: string[]): SetOperation {
  const parsed = parse(...lines)
  if (typeof parsed === 'number') throw new Error(`errno ${parsed}`)
  return parsed
}

t.test('what wg sends', async (t) => {
  t.same(parse(), { replacePeers: false, peers: [] })
  const set = operation(
    `private_key=${KEY}`,
    'listen_port=51820',
    'fwmark=4294967295',
    'replace_peers=true',
    PEER,
    'remove=true',
    `public_key=${OTHER.toUpperCase()}`,
    'update_only=true',
    `preshared_key=${KEY}`,
    'endpoint=192.0.2.1:51820',
    'persistent_keepalive_interval=25',
    'replace_allowed_ips=true',
    'allowed_ip=10.9.3.7/24',
    'allowed_ip=fd00::/8',
  )
  t.match(set, { listenPort: 51_820, fwmark: 0xffff_ffff, replacePeers: true })
  t.equal(Buffer.from(set.privateKey?.reveal() ?? []).toString('hex'), KEY)
  const [first, second] = set.peers
  t.match(first, { remove: true, updateOnly: false, replaceAllowedIps: false, allowedIps: [] })
  t.equal(first.publicKey.toString('hex'), KEY)
  t.equal(second.publicKey.toString('hex'), OTHER)
  t.equal(Buffer.from(second.presharedKey?.reveal() ?? []).toString('hex'), KEY)
  t.match(second, {
    remove: false,
    updateOnly: true,
    endpoint: { host: '192.0.2.1', port: 51_820 },
    persistentKeepaliveS: 25,
    replaceAllowedIps: true,
  })
  t.same(second.allowedIps.map(formatPrefix), ['10.9.3.0/24', 'fd00::/8'])
})

t.test('zeros are no key; the last of two lines counts; a replacement takes what came before', async (t) => {
  const set = operation(`private_key=${KEY}`, `private_key=${ZEROS}`, PEER, `preshared_key=${ZEROS}`)
  t.equal(set.privateKey, null)
  t.equal(set.peers[0].presharedKey, null)
  const [peer] = operation(PEER, 'allowed_ip=10.0.0.0/8', 'replace_allowed_ips=true', 'allowed_ip=::/0').peers
  t.same(peer.allowedIps.map(formatPrefix), ['::/0'])
})

t.test('endpoints', async (t) => {
  const endpoint = (text: string) => operation(PEER, `endpoint=${text}`).peers[0].endpoint
  t.same(endpoint('[2001:db8::1]:0'), { host: '2001:db8::1', port: 0 })
  t.same(endpoint('[fe80::1%eth0]:65535'), { host: 'fe80::1%eth0', port: 65_535 })
  for (const wrong of ['host-b:1', '192.0.2.1', '192.0.2.1:65536', '2001:db8::1:80', '[192.0.2.1]:80', ':80'])
    t.equal(parse(PEER, `endpoint=${wrong}`), EINVAL, wrong)
})

t.test('a line that is no line of the protocol', async (t) => {
  for (const line of ['listen_port', '', ' ', KEY]) t.equal(parse(line), EPROTO, line)
})

t.test('a key or value that makes no sense', async (t) => {
  for (const line of [
    'a=b=c',
    `private_key=${KEY}=`,
    'private_key=',
    `private_key=${KEY.slice(2)}`,
    `private_key=${KEY.slice(1)}g`,
    'listen_port=',
    'listen_port=65536',
    'listen_port=-1',
    'listen_port=0x10',
    'fwmark=4294967296',
    'fwmark=off',
    'replace_peers=false',
    'replace_peers=',
    'colour=red',
    '__proto__=1',
    'constructor=1',
    '=',
    'endpoint=192.0.2.1:1',
    'public_key=',
    `public_key=${KEY}00`,
  ])
    t.equal(parse(line), EINVAL, line)
  for (const line of [
    'listen_port=1',
    `private_key=${KEY}`,
    'remove=1',
    'update_only=yes',
    'replace_allowed_ips=false',
    'persistent_keepalive_interval=65536',
    'persistent_keepalive_interval=off',
    'allowed_ip=10.0.0.1',
    'allowed_ip=10.0.0.0/33',
    'allowed_ip=10.0.0.0/08',
    'allowed_ip=010.0.0.0/8',
    'allowed_ip=fd00::/129',
    'allowed_ip=fe80::1%eth0/64',
    'allowed_ip=/0',
    'protocol_version=2',
    `preshared_key=${KEY.slice(2)}`,
  ])
    t.equal(parse(PEER, line), EINVAL, line)
})

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
const port = fc.nat({ max: 65_535 })
const prefix: fc.Arbitrary<Prefix> = fc.oneof(
  fc.tuple(fc.ipV4(), fc.nat({ max: 32 })).map(([address, length]) => parsePrefix(`${address}/${length}`)),
  fc
    .tuple(fc.array(fc.nat({ max: 0xffff }), { minLength: 8, maxLength: 8 }), fc.nat({ max: 128 }))
    .map(([groups, length]) =>
      parsePrefix(`${groups.map((group) => group.toString(16)).join(':')}/${length}`),
    ),
)
const peer: fc.Arbitrary<PeerConfiguration> = fc.record({
  publicKey: bytes32,
  presharedKey: fc.oneof(bytes32, fc.constant(new Uint8Array(32))),
  endpoint: fc.option(fc.record({ address: fc.oneof(fc.ipV4(), fc.constant('2001:db8::7')), port }), {
    nil: undefined,
  }),
  lastHandshakeMs: fc.option(fc.nat({ max: 2 ** 31 - 1 }), { nil: undefined }),
  txBytes: fc.nat(),
  rxBytes: fc.nat(),
  persistentKeepaliveS: port,
  allowedIps: fc.array(prefix, { maxLength: 5 }),
})

t.test('what a get answers can be set again, but for what only the tunnel knows', async () => {
  const configuration = fc.record({
    privateKey: bytes32.filter((key) => key.some((byte) => byte !== 0)),
    listenPort: port,
    fwmark: fc.nat({ max: 0xffff_ffff }),
    peers: fc.array(peer, { maxLength: 4 }),
  })
  fc.assert(
    fc.property(configuration, (wanted) => {
      const text = writeGet(wanted).toString('latin1')
      const set = operation(
        ...text
          .trimEnd()
          .split('\n')
          .filter((line) => !/^(last_handshake_time_n?sec|[rt]x_bytes|errno)=/.test(line)),
      )
      const hex = (key: Uint8Array | undefined) => Buffer.from(key ?? []).toString('hex')
      const same = {
        privateKey: hex(set.privateKey?.reveal()) === hex(wanted.privateKey),
        port: set.listenPort === wanted.listenPort,
        mark: (set.fwmark ?? 0) === wanted.fwmark,
        count: set.peers.length === wanted.peers.length,
        peers: set.peers.every((it, index) => {
          const other = wanted.peers[index]
          const { endpoint } = it
          return (
            hex(it.publicKey) === hex(other.publicKey) &&
            hex(it.presharedKey?.reveal() ?? new Uint8Array(32)) === hex(other.presharedKey) &&
            endpoint?.host === other.endpoint?.address &&
            endpoint?.port === other.endpoint?.port &&
            it.persistentKeepaliveS === other.persistentKeepaliveS &&
            it.allowedIps.map(formatPrefix).join() === other.allowedIps.map(formatPrefix).join()
          )
        }),
      }
      return Object.values(same).every(Boolean)
    }),
  )
})

t.test('without a private key there is no line about it, as in wireguard-go', async (t) => {
  const text = writeGet({ privateKey: undefined, listenPort: 7, fwmark: 0, peers: [] }).toString('latin1')
  t.equal(text, 'listen_port=7\nerrno=0\n\n')
})

t.test('when a handshake was, and an errno', async (t) => {
  const text = writeGet({
    privateKey: new Uint8Array(32).fill(0xab),
    listenPort: 51_820,
    fwmark: 0,
    peers: [
      {
        publicKey: Buffer.from(KEY, 'hex'),
        presharedKey: new Uint8Array(32),
        endpoint: { address: 'fe80::1%eth0', port: 7 },
        lastHandshakeMs: 1_700_000_000_123,
        txBytes: 5_000_000_000_000,
        rxBytes: 1,
        persistentKeepaliveS: 0,
        allowedIps: [parsePrefix('10.9.0.0/16')],
      },
    ],
  }).toString('latin1')
  t.equal(
    text,
    `private_key=${'ab'.repeat(32)}\nlisten_port=51820\n${PEER}\npreshared_key=${ZEROS}\nprotocol_version=1\nendpoint=[fe80::1%eth0]:7\nlast_handshake_time_sec=1700000000\nlast_handshake_time_nsec=123000000\ntx_bytes=5000000000000\nrx_bytes=1\npersistent_keepalive_interval=0\nallowed_ip=10.9.0.0/16\nerrno=0\n\n`,
  )
  t.equal(errnoText(0), 'errno=0\n\n')
  t.equal(errnoText(EINVAL), 'errno=-22\n\n')
})

t.test('no bytes make it throw', async () => {
  const line = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.tuple(
      fc.constantFrom('private_key', 'listen_port', 'fwmark', 'replace_peers', 'public_key', 'endpoint'),
      fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(KEY, '1', 'true', '[::1%x]:1')),
    ),
    fc.tuple(
      fc.constantFrom('allowed_ip', 'remove', 'preshared_key', 'persistent_keepalive_interval'),
      fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(KEY, '1', 'true', '::/0', '1.2.3.4/5')),
    ),
  )
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const text = lines.map((it) => `${typeof it === 'string' ? it : it.join('=')}\n`).join('')
      const parsed = parseSet(Buffer.from(text))
      return typeof parsed === 'object' || parsed === EINVAL || parsed === EPROTO
    }),
    { numRuns: 500 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      parseSet(Buffer.from(bytes))
    }),
  )
})
