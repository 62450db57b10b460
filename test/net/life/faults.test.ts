/** An error at any entry to main stays there: what is next gets its turn, and the tunnel goes on. */
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { ask } from '../../../src/command/client.js'
import { LIBC } from '../../../src/linux/abi.js'
import type { Breakage, Entry } from '../../support/hosts/breaker.js'
import { RunningTunnel, startTunnel, twoHosts, until, untilPing } from '../../support/hosts/lab.js'
import { KeyFolder, keyFlags } from '../../support/hosts/wireguard-go.js'

const BREAKER = fileURLToPath(new URL('../../support/hosts/breaker.js', import.meta.url))

const TIMES = 3

const pair = twoHosts()
const keys = new KeyFolder()
t.teardown(() => {
  pair[Symbol.dispose]()
  keys[Symbol.dispose]()
})
const [ka, kb, kc, kd] = ['a', 'b', 'c', 'd'].map((name) => keys.make(name))

/** Before the one that answers: one that does not, and one that is not even found. */
const config = keys.write(
  'a.yaml',
  JSON.stringify({
    local: ['10.9.0.1/24'],
    private_key_file: ka.file,
    log_level: 'debug',
    peers: [
      { name: 'absent', endpoint: '192.0.2.77', public_key: kc.publicKey },
      { name: 'unknown', endpoint: 'nowhere.test', public_key: kd.publicKey },
      { name: 'host-b', endpoint: pair.underlay.b, public_key: kb.publicKey },
    ],
  }),
)

function startBroken(atOnce?: Breakage): RunningTunnel {
  const env = { ...process.env, ...(atOnce && { BREAK_AT_ONCE: JSON.stringify(atOnce) }) }
  return new RunningTunnel(pair.a, ['--config', config, '--json'], ['--import', BREAKER], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env,
  })
}

const startFar = () => startTunnel(pair.b, '10.9.0.2', pair.underlay.a, ...keyFlags(kb, ka))

const countOf = async (tunnel: RunningTunnel) => (await tunnel.status()).faults.count

/** The lines of a level (pino's numbers) that have to do with an entry. */
const lines = (tunnel: RunningTunnel, entry: Entry, level: number) =>
  tunnel.log.filter((line) => line.level === level && String(line.msg).includes(`broken: ${entry}`))

const WARN = 40
const DEBUG = 20

const near = startBroken()
await near.said(/ is up: /)
let far = await startFar()
await untilPing(pair.a, '10.9.0.2', 20_000)

/** What makes main go through an entry that it does not come to by itself. */
const stimuli: Partial<Record<Entry, () => unknown>> = {
  'a control frame': () => refresh(),
  'a word from a worker': () => refresh(),
  'a turn of a queue': () => refresh(),
  'keys that are wanted': () => refresh(),
  'keys that are in use': () => refresh(),
  'a timer of the search': () => refresh(),
  'a timer of the trace': () => refresh(),
  'another route': () => {},
  'a handshake message': async () => {
    await far.stop()
    far = await startFar()
  },
  status: () => near.status().catch(() => {}),
  'the answer to a command': () => near.status().catch(() => {}),
  reload: () => near.child.kill('SIGHUP'),
}

function refresh(): void {
  pair.a.run(() => ask('tap0', { command: 'mtu_refresh' })).catch(() => {})
}

const ENTRIES: readonly Entry[] = [
  'a word from a worker',
  'a turn of a queue',
  'a control frame',
  'what ICMP says',
  "a peer's second",
  'the way to a peer',
  'another route',
  'rtnetlink',
  'old addresses',
  'the offloads',
  "the device's MTU",
  'a timer of the search',
  'a timer of the trace',
  'a handshake message',
  'a timer of keys',
  'keys that are wanted',
  'keys that are in use',
  // With musl, Node.js asks, not this program.
  ...(LIBC === 'glibc' ? (['an answer of DNS'] as const) : []),
  'status',
  'the answer to a command',
  'reload',
]

for (const entry of ENTRIES) {
  t.test(`an error at ${entry}`, async (t) => {
    const before = await countOf(near)
    near.child.send({ entry, times: TIMES } satisfies Breakage)
    await sleep(50)
    // The pauses between look-ups of one name grow to 8 s.
    const endMs = performance.now() + 40_000
    // Whoever asks is in for it, too.
    do {
      await stimuli[entry]?.()
      await sleep(300)
    } while (performance.now() < endMs && (await countOf(near).catch(() => 0)) < before + TIMES)
    const { count, places } = (await near.status()).faults
    t.ok(count >= before + TIMES, `counted: ${count - before}, ${JSON.stringify(places)}`)
    t.equal(near.child.exitCode, null, near.stderr)
    t.ok((await untilPing(pair.a, '10.9.0.2', 20_000)) > 0, 'it carries pings')
    // What is called in more places than one is said in each.
    const said = lines(near, entry, WARN).map(({ place }) => place)
    t.ok(said.length > 0, 'said')
    t.equal(new Set(said).size, said.length, 'once')
    t.equal(lines(near, entry, DEBUG).length, said.length, 'with its stack')
  })
}

t.test('one that always makes trouble costs the others nothing', async (t) => {
  await near.stop()
  const broken = startBroken({ entry: "a peer's second", times: 1e9, name: 'absent' })
  await broken.said(/ is up: /)
  await untilPing(pair.a, '10.9.0.2', 20_000)
  await broken.said(/host-b is heard/)
  await until('those behind it are looked after', async () => {
    const { peers, faults } = await broken.status()
    return peers[2].keepalives === true && faults.count >= 3
  })
  t.equal(Object.keys((await broken.status()).faults.places).join(), 'peer')
  t.equal((await broken.stop()).code, 0)
  await far.stop()
})
