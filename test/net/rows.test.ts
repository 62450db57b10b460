import t from 'tap'
import { ok, PROGRAM, run, startTunnel, twoHosts, untilPing } from './lab.js'
import { type Captured, PacketSocket } from './packet-socket.js'
import { KeyFolder, type KeyPair } from './wireguard-go.js'

/** As many as there are rows: after a reload that changes all, each has a row that was another's. */
const PEERS = 256

const ABSENT = '10.9.1.1'
const ABSENT_BYTES = Buffer.from(ABSENT.split('.').map(Number))

interface Entry {
  readonly key: KeyPair
  readonly address: string
  readonly endpoint?: string
}

function lineOf({ key, address, endpoint }: Entry, keepalive: number): string {
  const where = endpoint === undefined ? '' : `, endpoint: "${endpoint}"`
  return `  - {name: ${address}, public_key: ${key.publicKey}, addresses: [${address}], persistent_keepalive: ${keepalive}${where}}`
}

t.test(
  'what waits for an absent peer is for nobody else after a reload that changes all peers there can be',
  { timeout: 90_000 },
  async (t) => {
    using keys = new KeyFolder()
    using pair = twoHosts()
    const [ka, kb] = [keys.make('a'), keys.make('b')]
    const absent: Entry = { key: keys.make('absent'), address: ABSENT, endpoint: `${pair.underlay.b}:6000` }
    const present: Entry = { key: kb, address: '10.9.0.2', endpoint: pair.underlay.b }
    const rest: Entry[] = Array.from({ length: PEERS - 2 }, (_, index) => ({
      key: keys.make(`p${index}`),
      address: `10.9.2.${index}`,
    }))
    const config = (keepalive: number, ...peers: readonly Entry[]) =>
      keys.write(
        'a.yaml',
        [
          'local: [10.9.0.1/16]',
          'mode: tun',
          `private_key_file: ${ka.file}`,
          'peers:',
          ...peers.map((peer) => lineOf(peer, keepalive)),
        ].join('\n'),
      )
    const near = await startTunnel(pair.a, '--config', config(0, absent, ...rest, present))
    const flags = ['--private-key-file', kb.file, '--peer-key', ka.publicKey, '--mode', 'tun']
    const far = await startTunnel(pair.b, '10.9.0.2/16', pair.underlay.a, ...flags)
    await untilPing(pair.a, '10.9.0.2')
    using inside = new PacketSocket(pair.b, 'tun0')
    const before = await near.status('tun0')

    await run(pair.a, 'ping', ['-c', '3', '-i', '0.1', '-W', '0.1', ABSENT])
    const waiting = await near.status('tun0')
    t.equal(waiting.drops.no_keypair, before.drops.no_keypair, 'they wait')
    // Rows are taken in their order: this one has what was the absent one's.
    config(25, present, ...rest, absent)
    const startedMs = performance.now()
    const report = JSON.parse(await ok(pair.a, process.execPath, PROGRAM, 'reload'))
    t.comment(`a reload of ${PEERS} peers took ${(performance.now() - startedMs).toFixed()} ms`)
    t.same([report.added, report.removed, report.changed.length], [[], [], PEERS])
    await untilPing(pair.a, '10.9.0.2', 15_000)

    const isForAbsent = ({ bytes, outgoing }: Captured) => !outgoing && bytes.includes(ABSENT_BYTES)
    const seen = await inside.capture(1, isForAbsent, 500)
    t.same(seen, [], 'nobody else can read them')
    const { peers, drops } = await near.status('tun0')
    t.equal(drops.no_keypair - before.drops.no_keypair, 3, 'they are dropped, and that is counted')
    t.equal(peers.length, PEERS)

    config(0, present, absent, ...rest)
    const reload = () => ok(pair.a, process.execPath, PROGRAM, 'reload')
    const reports = (await Promise.all([reload(), reload(), reload()])).map((it) => JSON.parse(it))
    const changed = reports.map((it) => it.changed.length).sort((x, y) => x - y)
    t.same(changed, [0, 0, PEERS], 'of several reloads at once each finds what the one before has left')
    await untilPing(pair.a, '10.9.0.2', 15_000)
    await far.stop()
    await near.stop()
  },
)
