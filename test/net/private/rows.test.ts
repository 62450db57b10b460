import t from 'tap'
import { ok, PROGRAM, run, startTunnel, twoHosts, untilPing } from '../../support/hosts/lab.js'
import { type Captured, PacketSocket } from '../../support/hosts/packet-socket.js'
import { KeyFolder, type KeyPair, keyFlags } from '../../support/hosts/wireguard-go.js'

const PEERS = 200

const ABSENT = '10.9.1.1'
const ABSENT_BYTES = Buffer.from(ABSENT.split('.').map(Number))

t.test(
  'what waits for an absent peer is for nobody else after two reloads that put others in the place of all 200 peers',
  { timeout: 90_000 },
  async (t) => {
    using keys = new KeyFolder()
    using pair = twoHosts()
    const [ka, kb] = [keys.make('a'), keys.make('b')]
    const made = (name: string) => Array.from({ length: PEERS }, (_, index) => keys.make(`${name}${index}`))
    const generations = [made('p'), made('q'), made('r')]
    // The first reload takes rows that were never used. The second one takes those of the start, the first of them first.
    const heir = 0
    const peer = ({ publicKey }: KeyPair, index: number, generation: number) => {
      const [key, address, endpoint] =
        generation === 0 && index === 0
          ? [publicKey, ABSENT, `${pair.underlay.b}:6000`]
          : generation === 2 && index === heir
            ? [kb.publicKey, '10.9.0.2', pair.underlay.b]
            : [publicKey, `10.9.2.${index}`, undefined]
      const where = endpoint === undefined ? '' : `, endpoint: "${endpoint}"`
      return `  - {name: p${index}, public_key: ${key}, addresses: [${address}]${where}}`
    }
    const config = (generation: number) =>
      keys.write(
        'a.yaml',
        [
          'local: [10.9.0.1/16]',
          'mode: tun',
          `private_key_file: ${ka.file}`,
          'peers:',
          ...generations[generation].map((key, index) => peer(key, index, generation)),
        ].join('\n'),
      )
    const near = await startTunnel(pair.a, '--config', config(0))
    const flags = [...keyFlags(kb, ka), '--mode', 'tun']
    const far = await startTunnel(pair.b, '10.9.0.2/16', pair.underlay.a, ...flags)
    using inside = new PacketSocket(pair.b, 'tun0')
    const before = await near.status('tun0')

    await run(pair.a, 'ping', ['-c', '3', '-i', '0.1', '-W', '0.1', ABSENT])
    const waiting = await near.status('tun0')
    t.equal(waiting.drops.no_keypair, before.drops.no_keypair, 'they wait')
    const reload = async () => JSON.parse(await ok(pair.a, process.execPath, PROGRAM, 'reload'))
    config(1)
    await reload()
    config(2)
    const startedMs = performance.now()
    const report = await reload()
    t.comment(`a reload of ${PEERS} peers took ${(performance.now() - startedMs).toFixed()} ms`)
    t.same([report.added, report.removed, report.changed.length], [[], [], PEERS])
    await untilPing(pair.a, '10.9.0.2', 15_000)

    const isForAbsent = ({ bytes, outgoing }: Captured) => !outgoing && bytes.includes(ABSENT_BYTES)
    const seen = await inside.capture(1, isForAbsent, 500)
    t.same(seen, [], 'nobody else can read them')
    const { peers, drops } = await near.status('tun0')
    t.equal(drops.no_keypair - before.drops.no_keypair, 3, 'they are dropped, and that is counted')
    t.equal(peers.length, PEERS)
    await far.stop()
    await near.stop()
  },
)
