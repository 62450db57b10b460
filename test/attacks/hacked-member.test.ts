/**
 * What a transfer loses while ten thousand bogus control frames a second come from a peer whose key is in bad hands, or as
 * many datagrams from strangers. A flood costs its sender, too, and here all share the same cores. So it is compared with
 * the same flood to a socket beside the tunnel.
 */
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { close } from '../../src/linux/libc.js'
import { openUdp } from '../../src/linux/udp.js'
import { ok, PLAIN, type RunningTunnel, startWarmTunnel, untilPing } from '../support/hosts/lab.js'
import { Network } from '../support/hosts/network.js'
import { KeyFolder } from '../support/hosts/wireguard-go.js'
import type { HackedFlood, HackedKind } from './hacked-flood.js'
import type { KindName } from './kinds.js'
import type { FloodReport } from './raw-flood.js'

const HACKED = fileURLToPath(new URL('./hacked.js', import.meta.url))
const FLOOD = fileURLToPath(new URL('./flood.js', import.meta.url))

const PORT = 5149
/** Nobody reads what comes there. */
const ASIDE = 9
const PER_SECOND = 10_000
const TRANSFER_SECONDS = 2
const FLOOD_SECONDS = TRANSFER_SECONDS + 1.5
/** At the most. Two good ones at first are enough, or one very good one. */
const ROUNDS = 5
const LEAST = 0.8
const VERY_GOOD = 0.9

const [TARGET, PEER, ATTACKER] = [0, 1, 2]

const keys = new KeyFolder()
const network = new Network(3)
t.teardown(() => {
  network[Symbol.dispose]()
  keys[Symbol.dispose]()
})
const [target, peer, attacker] = network.hosts
const [targetKeys, peerKeys, attackerKeys] = ['target', 'peer', 'attacker'].map((name) => keys.make(name))

const settings = (index: number, { file }: { file: string }, ...lines: string[]) => [
  'mode: tun',
  `local: [${network.overlay(index)}]`,
  `listen: ${PORT}`,
  `private_key_file: ${file}`,
  ...lines,
]
const item = (index: number, name: string, { publicKey }: { publicKey: string }, more = '') =>
  `  - {name: ${name}, public_key: "${publicKey}", addresses: [${network.overlay(index)}]${more}}`
const start = (index: number, name: string, lines: readonly string[]): Promise<RunningTunnel> =>
  startWarmTunnel(network.hosts[index], '--config', keys.write(`${name}.yaml`, lines.join('\n')))

// The target introduces its peers, so that it has most to do for them.
const tunnel = await start(TARGET, 'target', [
  ...settings(TARGET, targetKeys, 'introduce: true', 'peers:'),
  item(PEER, 'peer', peerKeys),
  item(ATTACKER, 'attacker', attackerKeys),
])
const there = `, endpoint: ${network.underlay(TARGET)}, introducer: true`
const other = await start(PEER, 'peer', [
  ...settings(PEER, peerKeys, 'peers:'),
  item(TARGET, 'target', targetKeys, there),
])
await untilPing(peer, network.overlay(TARGET))
target.spawn('iperf3', ['-s', '-B', network.overlay(TARGET)], { stdio: 'ignore' })
await sleep(300)
const aside = target.run(() =>
  openUdp({
    listen: { address: undefined, port: ASIDE },
    receiveBufferBytes: 4096,
    sendBufferBytes: 4096,
  }),
)
t.teardown(() => close(aside.fd))

/** Bits a second of a TCP transfer from the peer to the target. */
async function throughput(): Promise<number> {
  const args = ['-J', '-c', network.overlay(TARGET), '-t', `${TRANSFER_SECONDS}`]
  return JSON.parse(await ok(peer, 'iperf3', ...args)).end.sum_received.bits_per_second
}

/** A flood that is ready to begin. */
type Ready = () => Promise<FloodReport>

/** Of the peer in bad hands. */
async function sealed(kind: HackedKind, port: number): Promise<Ready> {
  const at = { address: network.underlay(TARGET), port: PORT }
  const order: HackedFlood = {
    target: at,
    key: targetKeys.publicKey,
    member: peerKeys.publicKey,
    to: { ...at, port },
    from: { address: network.underlay(ATTACKER), port: PORT },
    privateKeyFile: attackerKeys.file,
    kind,
    perSecond: PER_SECOND,
    seconds: FLOOD_SECONDS,
  }
  const [env, ...rest] = [...PLAIN, process.execPath, HACKED, JSON.stringify(order)]
  const child = attacker.spawn(env, rest, { stdio: ['pipe', 'pipe', 'inherit'] })
  if (child.stdout === null) throw new Error('no output')
  const lines = createInterface(child.stdout)
  const [said] = await once(lines, 'line')
  if (said !== 'ready') throw new Error(`the flood said ${said}`)
  return async () => {
    const report = once(lines, 'line')
    child.stdin?.end('begin\n')
    const [line] = await report
    return JSON.parse(line)
  }
}

/** Of somebody who knows the target's public key, or not even that. */
async function strangers(kind: KindName, port: number): Promise<Ready> {
  const how = ['--kind', kind, '--rate', `${PER_SECOND}`, '--seconds', `${FLOOD_SECONDS}`]
  const args = [FLOOD, `${network.underlay(TARGET)}:${port}`, '--key', targetKeys.publicKey, ...how]
  return async () => JSON.parse(await ok(attacker, process.execPath, ...args))
}

const median = (values: readonly number[]) => [...values].sort((x, y) => x - y)[values.length >> 1]
const gigabits = (values: readonly number[]) => values.map((it) => (it / 1e9).toFixed(2)).join(' ')

async function loses(t: Test, make: (port: number) => Promise<Ready>): Promise<void> {
  const beside: number[] = []
  const under: number[] = []
  const ratios = () => under.map((it, round) => it / beside[round])
  // If most rounds are good, so is their median.
  const isDecided = () => {
    const [first] = ratios()
    if (under.length === 1) return first >= VERY_GOOD
    const good = ratios().filter((it) => it >= LEAST).length
    return good >= 2 && good > under.length / 2
  }
  for (let round = 0; round < ROUNDS && !isDecided(); round++)
    for (const [port, results] of [
      [ASIDE, beside],
      [PORT, under],
    ] as const) {
      const flood = await make(port)
      const ended = flood()
      await sleep(500)
      results.push(await throughput())
      const { sent, tookMs } = await ended
      t.ok(sent / tookMs > 0.9 * (PER_SECOND / 1000), `${Math.round((sent * 1000) / tookMs)} a second`)
    }
  const ratio = isDecided() ? Math.max(LEAST, median(ratios())) : median(ratios())
  t.comment(
    `Gbit/s beside a flood: ${gigabits(beside)}; under it: ${gigabits(under)}; ratio ${ratio.toFixed(2)}`,
  )
  t.ok(ratio >= LEAST, `${ratio.toFixed(2)} of what is left beside the flood`)
}

// `all` has hellos and asks, too.
for (const kind of ['probe', 'introduction', 'relay', 'all'] as const)
  t.test(`bogus messages of a peer: ${kind}`, async (t) => {
    await loses(t, (port) => sealed(kind, port))
    const { drops, peers } = await tunnel.status('tun0')
    t.comment(JSON.stringify(drops))
    t.equal(peers.find(({ name }) => name === 'peer')?.state, 'up')
  })

for (const kind of ['right-mac1', 'transport'] as const)
  t.test(`datagrams of strangers: ${kind}`, (t) => loses(t, (port) => strangers(kind, port)))

t.test('both tunnels are as before', async (t) => {
  await untilPing(peer, network.overlay(TARGET))
  for (const it of [tunnel, other]) t.equal((await it.stop()).code, 0)
})
