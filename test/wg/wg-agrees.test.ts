/** Over random sequences of sets, this program and wireguard-go answer the same (wireguard.com/xplatform). */
import { fstatSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { availableParallelism } from 'node:os'
import fc from 'fast-check'
import t from 'tap'
import { parseKey } from '../../src/key-text.js'
import { type Pair, startTunnel, twoHosts } from '../support/hosts/lab.js'
import { KeyFolder, keyFlags, WireGuardGo } from '../support/hosts/wireguard-go.js'

const RUNS = 150

const hex = (key: Uint8Array | undefined) => Buffer.from(key ?? []).toString('hex')

/** Asks at a socket, and returns all that comes until the empty line of the answer. */
function ask(path: string, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    let text = ''
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      text += chunk
      if (!text.endsWith('\n\n')) return
      socket.destroy()
      resolve(text)
    })
    socket.on('close', () => resolve(text))
    socket.write(request)
  })
}

/** A tunnel at port 7001, with a device whose name no other host has, because the sockets of wg(8) have one folder. */
async function startAtPort({ a, underlay }: Pair, keyed: readonly string[]) {
  const device = `ug${fstatSync(a.namespace.fd).ino}`
  const flags = ['--mode', 'tun', '--dev', device, '--table', 'off', '--listen', '7001', ...keyed]
  return { device, tunnel: await startTunnel(a, '10.9.0.1', underlay.b, ...flags) }
}

/** What both must answer, in one order; without what only one of them can know. */
function factsOf(answer: string): unknown {
  const device: string[] = []
  const peers: string[][] = []
  for (const line of answer.trim().split('\n')) {
    if (/^(last_handshake_time_n?sec|[rt]x_bytes)=/.test(line)) continue
    if (line.startsWith('public_key=')) peers.push([])
    ;(line.startsWith('errno=') ? device : (peers.at(-1) ?? device)).push(line)
  }
  return { device: device.sort(), peers: peers.map((lines) => lines.sort().join(' ')).sort() }
}

const key = (byte: number) => hex(new Uint8Array(32).fill(byte))

const line = {
  endpoint: fc.constantFrom(
    ...['192.0.2.51:1', '192.0.2.52:65535', '[2001:db8::53]:7'].map((it) => `endpoint=${it}`),
  ),
  keepalive: fc.constantFrom(0, 1, 25, 65_535).map((s) => `persistent_keepalive_interval=${s}`),
  psk: fc.constantFrom(0, 0xaa, 0xbb).map((byte) => `preshared_key=${key(byte)}`),
  ip: fc
    .constantFrom(
      '0.0.0.0/0',
      '::/0',
      '10.9.3.0/24',
      '10.9.3.9/24',
      '10.9.3.9/32',
      'fd00:9::1/32',
      '10.0.0.0/7',
    )
    .map((it) => `allowed_ip=${it}`),
  wrong: fc.constantFrom(
    ...[
      'colour=red',
      'allowed_ip=10.0.0.1',
      'allowed_ip=10.0.0.0/33',
      'endpoint=host:1',
      'endpoint=192.0.2.1',
    ],
    ...[
      'preshared_key=00',
      'persistent_keepalive_interval=-1',
      'remove=false',
      'update_only=1',
      'a=b=c',
      'abc',
    ],
    ...['replace_peers=true', 'listen_port=1', 'protocol_version=2', 'public_key=', 'replace_allowed_ips='],
  ),
}

/** Every other time. */
const some = (arbitrary: fc.Arbitrary<string>) =>
  fc.option(arbitrary, { freq: 2, nil: undefined }).map((it) => (it === undefined ? [] : [it]))

interface Section {
  readonly key: string
  readonly endpoint: string
  readonly lines: readonly string[]
}

/** The lines of a peer, in the order in which wg writes them. */
const section = (own: readonly string[]): fc.Arbitrary<Section> =>
  fc.record({
    key: fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom(1, 2, 3, 4).map(key) },
      { weight: 2, arbitrary: fc.constantFrom(...own) },
    ),
    endpoint: line.endpoint,
    lines: fc
      .tuple(
        fc.constantFrom([], [], [], ['update_only=true'], ['remove=true']),
        some(line.psk),
        some(line.endpoint),
        some(line.keepalive),
        fc.constantFrom([], ['replace_allowed_ips=true']),
        fc.array(line.ip, { maxLength: 4 }),
        fc.constantFrom([], ['protocol_version=1']),
        fc.oneof(
          { weight: 15, arbitrary: fc.constant([]) },
          { weight: 1, arbitrary: line.wrong.map((it) => [it]) },
        ),
      )
      .map((all) => all.flat()),
  })

const deviceLines = (secrets: readonly string[]) =>
  fc.tuple(
    some(fc.constantFrom(...secrets, key(0)).map((secret) => `private_key=${secret}`)),
    some(fc.constantFrom('listen_port=7001', 'listen_port=7002')),
    some(fc.constantFrom('fwmark=0', 'fwmark=7', 'fwmark=4294967295')),
    fc.constantFrom([], [], ['replace_peers=true']),
    fc.oneof(
      { weight: 20, arbitrary: fc.constant([]) },
      {
        weight: 1,
        arbitrary: fc.constantFrom(['fwmark=4294967296'], ['listen_port=65536'], ['private_key=0']),
      },
    ),
  )

/**
 * Two things differ on purpose. A peer that goes and comes in one set keeps its place here, so such a section gives an
 * endpoint, or is left out.
 */
function textOf(device: readonly string[], sections: readonly Section[]): string {
  const gone = new Set<string>()
  const lines = [...device]
  for (const it of sections) {
    if (gone.has(it.key)) continue
    if (it.lines.includes('remove=true')) gone.add(it.key)
    lines.push(`public_key=${it.key}`, ...it.lines)
    if (device.includes('replace_peers=true')) lines.push(it.endpoint)
  }
  return `set=1\n${lines.map((text) => `${text}\n`).join('')}\n`
}

t.test('this program and wireguard-go agree', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const [own, other] = [keys.make('a'), keys.make('b')]
  await using go = await WireGuardGo.start(
    pair.b,
    '10.9.0.1/24',
    'listen-port',
    '7001',
    'private-key',
    own.file,
  )
  const { device, tunnel } = await startAtPort(pair, keyFlags(own, other))
  const paths = [device, go.device].map((name) => `/var/run/wireguard/${name}.sock`)
  const both = (request: string) => Promise.all(paths.map((path) => ask(path, request)))
  const pairs = [own, keys.make('c')]
  const secrets = pairs.map(({ file }) => hex(parseKey(readFileSync(file).subarray(0, 44))))
  const publicKeys = pairs.map(({ publicKey }) => hex(parseKey(publicKey)))
  const set = fc
    .tuple(deviceLines(secrets), fc.array(section(publicKeys), { maxLength: 4 }))
    .map(([device, sections]) => textOf(device.flat(), sections))
  const seen = { sets: 0, refused: 0, most: 0, keys: new Set<string>() }
  await fc.assert(
    fc.asyncProperty(fc.array(set, { minLength: 1, maxLength: 6 }), async (sets) => {
      const begin = `set=1\nprivate_key=${secrets[0]}\nlisten_port=7001\nfwmark=0\nreplace_peers=true\n\n`
      await both(begin)
      for (const request of sets) {
        const [ours, theirs] = await both(request)
        if (ours !== theirs) throw new Error(`${ours} and not ${theirs} to:\n${request}`)
        seen.sets++
        // A refused set changes nothing here. wireguard-go has done what comes before the wrong line.
        if (ours !== 'errno=0\n\n') {
          seen.refused++
          await both(begin)
        }
        const [a, b] = (await both('get=1\n\n')).map((it) => JSON.stringify(factsOf(it), null, 1))
        if (a !== b) throw new Error(`${a}\n and not\n${b}\nafter:\n${request}`)
        seen.keys.add(/private_key=(\w+)/.exec(a)?.[1] ?? 'none')
        seen.most = Math.max(seen.most, a.split('public_key').length - 1)
      }
    }),
    { numRuns: RUNS, endOnFailure: true },
  )
  t.comment(
    `${seen.sets} sets, ${seen.refused} of them refused, up to ${seen.most} peers, keys ${[...seen.keys].map((it) => it.slice(0, 6)).join()}`,
  )
  t.ok(seen.refused > 0 && seen.most >= 3 && seen.keys.size === 3)
  t.equal((await tunnel.status(device)).faults.count, 0)
  await tunnel.stop()
})

t.test('a port that was just left is free again, however busy the machine is', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const [own, other] = [keys.make('a'), keys.make('b')]
  const { device, tunnel } = await startAtPort(pair, keyFlags(own, other))
  // A worker's poll holds its old socket until the worker has its turn.
  for (let busy = 0; busy < 2 * availableParallelism(); busy++)
    pair.b.spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' })
  const answers = new Map<string, number>()
  for (let turn = 1; turn <= 100; turn++) {
    const answer = await ask(
      `/var/run/wireguard/${device}.sock`,
      `set=1\nlisten_port=${7001 + (turn % 2)}\n\n`,
    )
    answers.set(answer.trim(), (answers.get(answer.trim()) ?? 0) + 1)
  }
  t.same([...answers], [['errno=0', 100]])
  await tunnel.stop()
})
