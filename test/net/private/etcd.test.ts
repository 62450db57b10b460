/** Real hosts that find each other by a real etcd. */
import { randomBytes } from 'node:crypto'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseKey } from '../../../src/key-text.js'
import type { Host } from '../../../src/lab/host.js'
import { deriveSigningKey } from '../../../src/noise/keys.js'
import { Etcd } from '../../support/hosts/etcd.js'
import { ok, type RunningTunnel, startTunnel, until, untilPing } from '../../support/hosts/lab.js'
import { Network } from '../../support/hosts/network.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'
import { SignedNetwork } from '../../support/signed-network.js'

const KEYS = '/udptun-fast/default/'

/** Makes an authority, and certificates of it for an etcd at `address` and for a client. */
async function certificates(host: Host, folder: string, address: string) {
  const file = (name: string) => join(folder, name)
  const openssl = (...args: string[]) => ok(host, 'openssl', ...args)
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const ca = ['-x509', '-days', '1', '-subj', '/CN=ca', '-keyout', file('ca.key'), '-out', file('ca.pem')]
  await openssl('req', ...newKey, ...ca)
  const make = async (name: string, subject: string, usage: string) => {
    const extensions = file(`${name}.ext`)
    writeFileSync(extensions, `subjectAltName=IP:${address}\nextendedKeyUsage=${usage}\n`)
    const [key, request, cert] = ['key', 'csr', 'pem'].map((end) => file(`${name}.${end}`))
    await openssl('req', ...newKey, '-subj', subject, '-keyout', key, '-out', request)
    const by = ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial', '-extfile', extensions]
    await openssl('x509', '-req', '-days', '1', '-in', request, ...by, '-out', cert)
    chmodSync(key, 0o600)
    return { ca: file('ca.pem'), cert, key }
  }
  // etcd's gateway is a client of etcd with the server's certificate.
  return {
    server: await make('etcd', '/CN=etcd', 'serverAuth,clientAuth'),
    // With users, the gateway refuses a client whose certificate has a CN.
    client: await make('client', '/O=udptun-fast', 'clientAuth'),
  }
}

t.test('three hosts and an etcd: they find each other, also while it is away', async (t) => {
  using keys = new KeyFolder()
  using network = new Network(4)
  await using etcd = await Etcd.start(network.hosts[3], network.underlay(3))
  const signed = new SignedNetwork(randomBytes(32))
  const pairs = [0, 1, 2].map((index) => keys.make(`m${index}`))
  const lineOf = (name: string, { publicKey, file }: { publicKey: string; file: string }, address: string) =>
    signed.line({
      name,
      publicKey: parseKey(publicKey) ?? Buffer.of(),
      signingKey: deriveSigningKey(parseKey(readFileSync(file, 'latin1').trim()) ?? Buffer.of()).publicKey,
      addresses: [address],
    })
  const start = (index: number) =>
    startTunnel(
      network.hosts[index],
      '--config',
      keys.write(
        `m${index}.yaml`,
        [
          'mode: tun',
          `local: [${network.overlay(index)}/24]`,
          `private_key_file: ${pairs[index].file}`,
          `network_key: "${signed.text}"`,
          `record: "${lineOf(`m${index}`, pairs[index], network.overlay(index))}"`,
          `discovery: {etcd: {endpoints: ["${etcd.url}"], grace: 1, ttl: 5}}`,
        ].join('\n'),
      ),
    )
  const peers = async (tunnel: RunningTunnel) => (await tunnel.status('tun0')).peers
  const refused = async (tunnel: RunningTunnel) => (await tunnel.status('tun0')).drops.introduction_refused

  const [m0, m1] = await Promise.all([start(0), start(1)])
  await untilPing(network.hosts[0], network.overlay(1))
  let m2 = await start(2)
  const startedMs = performance.now()
  await untilPing(network.hosts[2], network.overlay(0))
  await untilPing(network.hosts[2], network.overlay(1))
  t.comment(`the third is reached by both ${Math.round(performance.now() - startedMs)} ms after its start`)
  t.match(
    (await peers(m0)).map(({ introduced_by }) => introduced_by),
    ['the etcd store', 'the etcd store'],
  )
  t.same(
    await etcd.keys(KEYS),
    ['m0', 'm1', 'm2'].map((it) => KEYS + it),
  )

  t.match((await m0.status('tun0')).discovery, {
    source: 'etcd',
    state: 'connected',
    trouble: null,
    endpoint: etcd.url,
    revision: /^\d+$/,
    members: { known: 2, present: 2 },
  })

  t.comment('somebody who can write there, but has no record')
  const forged = new SignedNetwork(randomBytes(32))
  const evil = keys.make('evil')
  const value = (name: string, by: SignedNetwork) =>
    JSON.stringify({
      version: 1,
      record: by.line({ name, publicKey: parseKey(evil.publicKey) ?? Buffer.of(), addresses: ['10.9.0.77'] }),
      endpoints: [],
    })
  await etcd.ctl('put', `${KEYS}evil`, value('evil', forged))
  await m0.said(/the key of "evil" in the etcd store has a record that the network key has not signed/)
  await etcd.ctl('put', `${KEYS}odd`, '{"version": 1')
  await m0.said(/the key of "odd" in the etcd store has a value that is not one of a member/)
  await etcd.ctl('put', `${KEYS}other`, value('evil', signed))
  await m0.said(/the key of "other" in the etcd store has the signed record of "evil"/)
  t.ok((await refused(m0)) >= 3)
  t.match((await m0.status('tun0')).discovery?.refused, { forged: 1, malformed: 1, foreign: 1, old: 0 })
  t.equal((await peers(m0)).length, 2)

  t.comment('somebody who writes over the value of a member')
  const own = (await etcd.ctl('get', '--print-value-only', `${KEYS}m1`)).trim()
  const { endpoints, serial } = JSON.parse(own)
  const altered = JSON.stringify({ ...JSON.parse(own), endpoints: [{ ...endpoints[0], port: 9 }] })
  const foreign = (await etcd.ctl('get', '--print-value-only', `${KEYS}m2`)).trim()
  for (const [text, message] of [
    [
      altered,
      /key of "m1" in the etcd store says where its host is, with a signature that is not of the host/,
    ],
    [foreign, /key of "m1" in the etcd store has the signed record of "m2"/],
  ] as const) {
    await etcd.ctl('put', `${KEYS}m1`, text)
    await m0.said(message)
  }
  await until(
    'the member has written it again',
    async () => own === (await etcd.ctl('get', '--print-value-only', `${KEYS}m1`)).trim(),
  )
  t.comment('and an old value, after the member has another address')
  await ok(network.hosts[1], 'ip', 'address', 'add', '198.51.100.77/32', 'dev', 'lo')
  await until(
    'm1 has written that',
    async () => JSON.parse(await etcd.ctl('get', '--print-value-only', `${KEYS}m1`)).serial > serial,
  )
  await etcd.ctl('put', `${KEYS}m1`, own)
  await m0.said(/key of "m1" .* says where its host was before: its serial number is .* was seen/)
  t.equal((await peers(m0)).length, 2)
  await untilPing(network.hosts[0], network.overlay(1))

  t.comment('a member comes and goes')
  const lease = / lease (\w+) /.exec(` ${(await etcd.ctl('lease', 'grant', '60')).trim()} `)?.[1] ?? ''
  await etcd.ctl('put', '--lease', lease, `${KEYS}evil`, value('evil', signed))
  await until('it is known', async () => (await peers(m0)).length === 3)
  await etcd.ctl('lease', 'revoke', lease)
  await until('it is gone after the grace time', async () => (await peers(m0)).length === 2)

  t.comment('etcd is away')
  await etcd.stop()
  await m0.said(/etcd is away: http/)
  t.match((await m0.status('tun0')).discovery, { state: 'away', trouble: /192.0.2.4:2379/ })
  await m2.stop()
  m2 = await start(2)
  await untilPing(network.hosts[2], network.overlay(0))
  await untilPing(network.hosts[1], network.overlay(2))
  t.equal((await peers(m0)).length, 2)
  await etcd.start()
  const known = () => m0.log.filter(({ msg }) => /etcd is in touch/.test(String(msg))).length
  await until('etcd is in touch again', () => known() === 2)
  await until('all keys are there again', async () => (await etcd.keys(KEYS)).length === 5)

  t.comment('only one host is parted from etcd, and what it has missed is compacted away')
  await network.cut(0, 3)
  await until('it has lost its lease', async () => (await etcd.keys(KEYS)).length === 4)
  await untilPing(network.hosts[1], network.overlay(0))
  await etcd.ctl('del', `${KEYS}odd`)
  await etcd.ctl('put', `${KEYS}evil`, value('evil', signed))
  const { revision } = JSON.parse(await etcd.ctl('get', '-w', 'json', KEYS)).header
  await etcd.ctl('compaction', String(revision))
  t.ok(
    (await peers(m1)).some(({ name }) => name === 'm0'),
    'there is a session with it, so it stays',
  )
  await network.cut(0, 3, false)
  await until('it has read anew', async () => (await peers(m0)).some(({ name }) => name === 'evil'))
  await until('its key is back', async () => (await etcd.keys(KEYS)).includes(`${KEYS}m0`))

  await m2.stop()
  t.notOk((await etcd.keys(KEYS)).includes(`${KEYS}m2`), 'who ends gives its lease back')
  await Promise.all([m0, m1].map((it) => it.stop()))
  for (const { log } of [m0, m1, m2]) t.notOk(log.some(({ msg }) => /a fault in/.test(String(msg))))
})

t.test('TLS with certificates on both sides, and users that can write only their own keys', async (t) => {
  using keys = new KeyFolder()
  using network = new Network(3)
  const [, , store] = network.hosts
  const { server, client } = await certificates(store, keys.path, network.underlay(2))
  await using etcd = await Etcd.start(store, network.underlay(2), { tls: server })
  for (const name of ['root', 'm0', 'm1']) await etcd.ctl('user', 'add', `${name}:password of ${name}`)
  await etcd.ctl('user', 'grant-role', 'root', 'root')
  for (const name of ['m0', 'm1']) {
    await etcd.ctl('role', 'add', name)
    await etcd.ctl('role', 'grant-permission', name, '--prefix=true', 'read', KEYS)
    await etcd.ctl('role', 'grant-permission', name, 'readwrite', `${KEYS}${name}`)
    await etcd.ctl('user', 'grant-role', name, name)
  }
  await etcd.ctl('auth', 'enable')
  etcd.user = 'root:password of root'

  const start = (index: number, tls: readonly string[], password: string) => {
    const settings = [
      ...[`endpoints: ["${etcd.url}"]`, `ca: ${client.ca}`, ...tls],
      ...[`name: m${index}`, `user: m${index}`, 'ttl: 5'],
      `password_file: ${keys.write(`m${index}.password`, password)}`,
    ]
    const lines = [
      'mode: tap',
      `local: [${network.overlay(index)}/24]`,
      `private_key_file: ${keys.make(`m${index}`).file}`,
      `discovery: {etcd: {${settings.join(', ')}}}`,
    ]
    return startTunnel(network.hosts[index], '--config', keys.write(`m${index}.yaml`, lines.join('\n')))
  }
  const cert = [`cert: ${client.cert}`, `key: ${client.key}`]
  const m0 = await start(0, cert, 'password of m0')
  for (const [tls, password, message] of [
    [[], 'password of m1', /etcd is away: https:.* cannot be reached \(.*(alert|hang up|ECONNRESET)/],
    [cert, 'wrong', /etcd is away: https:.* refuses auth\/authenticate \(.*invalid user ID or password\)/],
  ] as const) {
    const wrong = await start(1, tls, password)
    await wrong.said(message, 10_000)
    await wrong.stop()
  }
  const m1 = await start(1, cert, 'password of m1')
  await untilPing(network.hosts[0], network.overlay(1))
  const [peer] = (await m0.status()).peers
  t.equal(peer.name, 'm1')
  t.match(await etcd.refusal('m0:password of m0', 'put', `${KEYS}m1`, 'x'), /permission denied/)

  t.comment('tokens are good no more when users change')
  await etcd.ctl('user', 'add', 'm2:x')
  await etcd.ctl('del', `${KEYS}m0`)
  await until('the key is back', async () => (await etcd.keys(KEYS)).includes(`${KEYS}m0`))
  t.notOk(m0.log.some(({ msg }) => /etcd is away/.test(String(msg))))
  await Promise.all([m0, m1].map((it) => it.stop()))
})

t.test('a cluster of three: its nodes are killed, and come back', async (t) => {
  using keys = new KeyFolder()
  using network = new Network(3)
  const nodes = await Promise.all(
    [0, 1, 2].map((at) => Etcd.start(network.hosts[2], network.underlay(2), { node: [at, 3] })),
  )
  t.teardown(() => Promise.all(nodes.map((it) => it[Symbol.asyncDispose]())))
  const urls = nodes.map(({ url }) => `"${url}"`).join()
  const [m0, m1] = await Promise.all(
    [0, 1].map((index) => {
      const lines = [
        'mode: tun',
        `local: [${network.overlay(index)}/24]`,
        `private_key_file: ${keys.make(`m${index}`).file}`,
        `discovery: {etcd: {endpoints: [${urls}], name: m${index}, ttl: 5}}`,
      ]
      return startTunnel(network.hosts[index], '--config', keys.write(`m${index}.yaml`, lines.join('\n')))
    }),
  )
  await untilPing(network.hosts[0], network.overlay(1))
  const said = (pattern: RegExp) => m0.log.flatMap(({ msg }) => pattern.exec(String(msg))?.[1] ?? [])
  const used = () => said(/etcd is in touch at (\S+):/).at(-1)
  let count = 0
  /** Somebody else writes a member, and both hosts learn of it. */
  const joins = async (by: Etcd) => {
    const name = `x${count++}`
    const publicKey = keys.make(name).publicKey
    const networks = [`10.9.0.${100 + count}/32`]
    const value = JSON.stringify({ version: 1, public_key: publicKey, networks, endpoints: [] })
    // What is on its way to a leader that was killed is lost.
    await until(`${name} is written`, () =>
      by.does('put', '--command-timeout', '1s', `${KEYS}${name}`, value),
    )
    const startedMs = performance.now()
    for (const tunnel of [m0, m1])
      await until(`${tunnel.host.name} knows ${name}`, async () =>
        (await tunnel.status('tun0')).peers.some((it) => it.name === name),
      )
    t.comment(`${name} is known to both after ${Math.round(performance.now() - startedMs)} ms`)
  }
  const others = (etcd: Etcd) => nodes.filter((it) => it !== etcd)

  const first = nodes.find(({ url }) => url === used()) ?? nodes[0]
  await first.stop('SIGKILL')
  await until('m0 uses another node', async () => used() !== first.url)
  await joins(others(first)[0])
  await first.start()

  const leads = await Promise.all(nodes.map((it) => it.isLeader()))
  const leader = nodes[leads.indexOf(true)]
  await leader.stop('SIGKILL')
  await joins(others(leader)[0])
  await leader.start()

  const [left, ...two] = nodes
  for (const it of two) await it.stop('SIGKILL')
  const touches = () => said(/(etcd is in touch)/).length
  const before = touches()
  await until('m0 says that etcd is away', async () =>
    /is away/.test(said(/(etcd is (away|in touch))/).at(-1) ?? ''),
  )
  t.equal((await m0.status('tun0')).peers.length, 3)
  await untilPing(network.hosts[0], network.overlay(1))
  await Promise.all(two.map((it) => it.start()))
  await until('etcd is in touch again', async () => touches() > before)
  await joins(left)
  t.equal((await m0.status('tun0')).peers.length, 4)
  await Promise.all([m0, m1].map((it) => it.stop()))
})

t.test('a tunnel that carries the default route carries nothing for etcd', async (t) => {
  using keys = new KeyFolder()
  using network = new Network(2)
  const [host, store] = network.hosts
  await ok(store, 'ip', 'address', 'add', '203.0.113.9/32', 'dev', 'lo')
  await ok(host, 'ip', 'route', 'add', 'default', 'via', network.underlay(1))
  const lines = [
    'mode: tun',
    `local: [${network.overlay(0)}/24]`,
    `private_key_file: ${keys.make('m0').file}`,
    `discovery: {etcd: {endpoints: ["http://203.0.113.9:2379"], name: m0, ttl: 5}}`,
    // There is no such host, so whatever goes into the tunnel is lost.
    `peers: [{name: hub, endpoint: 192.0.2.77, public_key: "${keys.make('hub').publicKey}", prefixes: [0.0.0.0/0]}]`,
  ]
  const m0 = await startTunnel(host, '--config', keys.write('m0.yaml', lines.join('\n')))
  t.match((await ok(host, 'ip', 'route', 'get', '203.0.113.9')).split('\n')[0], /dev tun0/)
  await m0.said(/etcd is away: http:\/\/203.0.113.9:2379 cannot be reached \(connect: connection refused/)
  await using etcd = await Etcd.start(store, '203.0.113.9')
  await m0.said(/etcd is in touch at http:\/\/203.0.113.9:2379/)
  await until('its key is there', async () => (await etcd.keys(KEYS)).includes(`${KEYS}m0`))
  await m0.stop()
})

t.test(
  'a host that cannot keep up with the watch has all of it in the end, also if it is compacted away',
  async (t) => {
    using keys = new KeyFolder()
    using network = new Network(2)
    const [host, store] = network.hosts
    await using etcd = await Etcd.start(store, network.underlay(1))
    const lines = [
      'mode: tun',
      `local: [${network.overlay(0)}/24]`,
      `private_key_file: ${keys.make('m0').file}`,
      `discovery: {etcd: {endpoints: ["${etcd.url}"], name: m0, ttl: 5}}`,
    ]
    const m0 = await startTunnel(host, '--config', keys.write('m0.yaml', lines.join('\n')))
    await m0.said(/etcd is in touch/)
    const discovery = async () => (await m0.status('tun0')).discovery
    const put = (key: string, text: string) => `put ${KEYS}${key} ${text}`
    const flood = Array.from({ length: 100 }, (_, at) => put(`x${at}`, 'x'.repeat(3_000)))
    const transaction = keys.write('flood', `\n${flood.join('\n')}\n\n\n`)
    const publicKey = keys.make('late').publicKey
    const late = JSON.stringify({
      version: 1,
      public_key: publicKey,
      networks: ['10.9.0.9/32'],
      endpoints: [],
    })
    for (const isCompacted of [false, true]) {
      // More than a socket takes, and nobody reads it.
      m0.child.kill('SIGSTOP')
      await ok(
        store,
        'sh',
        '-c',
        `for i in $(seq 30); do etcdctl --endpoints ${etcd.url} txn < ${transaction}; done`,
      )
      const name = isCompacted ? 'later' : 'late'
      await etcd.ctl('put', `${KEYS}${name}`, late)
      const { revision } = JSON.parse(await etcd.ctl('get', '-w', 'json', KEYS)).header
      if (isCompacted) await etcd.ctl('compaction', String(revision))
      m0.child.kill('SIGCONT')
      const startedMs = performance.now()
      await until('all is known', async () => Number((await discovery())?.revision) >= revision)
      t.comment(`${name} is known ${Math.round(performance.now() - startedMs)} ms after it may go on`)
    }
    for (const { msg } of m0.log) if (/etcd is/.test(String(msg))) t.comment(String(msg))
    t.match(await discovery(), { state: 'connected', members: { known: 2, present: 2 } })
    t.notOk(m0.log.some(({ msg }) => /a fault in/.test(String(msg))))
    await m0.stop()
  },
)
