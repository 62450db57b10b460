/** As many peers as there can be, set by one command. */
import { randomBytes } from 'node:crypto'
import { fstatSync } from 'node:fs'
import t from 'tap'
import { MAX_PEERS } from '../../src/config/schema.js'
import { formatKey } from '../../src/key-text.js'
import { clampPrivateKey, derivePublicKey } from '../../src/noise/keys.js'
import { ok, run, startTunnel, twoHosts, untilPing } from '../support/hosts/lab.js'
import { KeyFolder, keyFlags, WireGuardGo } from '../support/hosts/wireguard-go.js'

const PEERS = 256
const NETWORKS = 1_000
const WITHIN_MS = 1_000
const PORT = 51_820

/** The median of three: this machine may stand still for a second. */
const ROUNDS = 3

t.test(`${PEERS} peers with ${NETWORKS} networks are there within a second, and no more fit`, async (t) => {
  using pair = twoHosts()
  using keys = new KeyFolder()
  const [own, theirs] = [keys.make('a'), keys.make('b')]
  const device = `wm${fstatSync(pair.a.namespace.fd).ino}`
  const allowed = ['peer', own.publicKey, 'allowed-ips', '10.9.0.1/32']
  await using _go = await WireGuardGo.start(
    pair.b,
    '10.9.0.2/24',
    ...['listen-port', `${PORT}`, 'private-key', theirs.file, ...allowed],
  )
  const flags = ['--mode', 'tun', '--dev', device, '--table', 'off', ...keyFlags(own, theirs)]
  const tunnel = await startTunnel(pair.a, '10.9.0.1/24', `${pair.underlay.b}:${PORT}`, ...flags)
  await untilPing(pair.a, '10.9.0.2', 20_000)

  const secret = (await ok(pair.a, 'cat', own.file)).trim()
  const others = Array.from({ length: PEERS }, () =>
    formatKey(derivePublicKey(clampPrivateKey(randomBytes(32)))),
  )
  const networksOf = (index: number) =>
    Array.from({ length: NETWORKS }, (_, it) => it)
      .filter((it) => it % PEERS === index)
      .map((it) => `10.${100 + (it >>> 8)}.${it & 0xff}.0/24`)
  const peer = (key: string, ...lines: string[]) => ['[Peer]', `PublicKey = ${key}`, ...lines].join('\n')
  const other = (key: string, index: number) =>
    peer(key, `Endpoint = 198.51.100.${index % 250}:7`, `AllowedIPs = ${networksOf(index).join(', ')}`)
  const real = peer(theirs.publicKey, `Endpoint = ${pair.underlay.b}:${PORT}`, 'AllowedIPs = 10.9.0.2/32')
  const head = `[Interface]\nPrivateKey = ${secret}\nListenPort = 5149`
  const full = keys.write(
    'full.conf',
    [head, real, ...others.slice(1).map((key, at) => other(key, at + 1))].join('\n'),
  )
  const one = keys.write('one.conf', [head, real].join('\n'))
  const setconf = async (file: string) => {
    const { code, stderr, tookMs } = await run(pair.a, 'wg', ['setconf', device, file])
    t.same([code, stderr], [0, ''])
    return tookMs
  }
  const times: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    times.push(await setconf(full))
    const shown = (await ok(pair.a, 'wg', 'show', device, 'allowed-ips')).trim().split('\n')
    t.equal(shown.length, PEERS)
    await untilPing(pair.a, '10.9.0.2', 20_000)
    if (round < ROUNDS - 1) await setconf(one)
  }
  const [, medianMs] = times.sort((a, b) => a - b)
  t.comment(`${times.map((ms) => ms.toFixed(0)).join(', ')} ms`)
  t.ok(medianMs < WITHIN_MS, `${medianMs.toFixed(0)} ms`)

  const more = Array.from({ length: MAX_PEERS }, () => formatKey(randomBytes(32)))
  const many = keys.write('many.conf', [head, real, ...more.map((key) => peer(key))].join('\n'))
  const refused = await run(pair.a, 'wg', ['setconf', device, many])
  t.equal(refused.code, 1)
  t.match(refused.stderr, /^Unable to modify interface: No space left on device\n$/)
  await tunnel.said(/wg wants more than 4096 peers, or more than 16384 networks, and no more fit here/)
  t.equal((await ok(pair.a, 'wg', 'show', device, 'peers')).trim().split('\n').length, PEERS)
  t.equal((await tunnel.status(device)).faults.count, 0)
  await untilPing(pair.a, '10.9.0.2', 20_000)
  await tunnel.stop()
})
