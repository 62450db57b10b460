/** Three real hosts that believe only what a network key has signed, by the program's own commands. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ok, PROGRAM, startTunnel, until, untilPing } from '../../support/hosts/lab.js'
import { Network } from '../../support/hosts/network.js'
import { KeyFolder, type KeyPair } from '../../support/hosts/wireguard-go.js'

t.test(
  'a member that is added at run time gives its record, and nobody else can take its name',
  async (t) => {
    using keys = new KeyFolder()
    using network = new Network(3)
    const [hubHost, a, b] = network.hosts
    const [hub, m1, m2, evil] = ['hub', 'm1', 'm2', 'evil'].map((it) => keys.make(it))
    const command = (...args: string[]) => ok(hubHost, process.execPath, PROGRAM, ...args)

    const networkFile = join(keys.path, 'network.key')
    const networkKey = (await command('network', 'key', networkFile)).trim()
    const sign = async (name: string, { publicKey }: KeyPair, index: number, ...more: string[]) => {
      const about = ['--name', name, '--public-key', publicKey, '--address', network.overlay(index)]
      return keys.write(
        `${name}${more.join('')}.record`,
        (await command('network', 'sign', networkFile, ...about, ...more)).trim(),
      )
    }
    const lines = (index: number, pair: KeyPair, ...more: string[]) =>
      [
        'mode: tun',
        `local: [${network.overlay(index)}]`,
        `private_key_file: ${pair.file}`,
        `network_key: "${networkKey}"`,
        ...more,
      ].join('\n')
    const peerLine = (name: string, { publicKey }: KeyPair, index: number) =>
      `  - {name: ${name}, public_key: "${publicKey}", addresses: [${network.overlay(index)}]}`
    const hubLines = (...peers: string[]) => lines(0, hub, 'introduce: true', 'peers:', ...peers)
    const memberFile = (index: number, pair: KeyPair, record: string) =>
      keys.write(
        `h${index}.yaml`,
        lines(
          index,
          pair,
          `record: ${record}`,
          'peers:',
          `  - {name: hub, endpoint: ${network.underlay(0)}, public_key: "${hub.publicKey}", addresses: [${network.overlay(0)}], introducer: true}`,
        ),
      )

    const hubFile = keys.write('hub.yaml', hubLines(peerLine('m1', m1, 1)))
    const hubTunnel = await startTunnel(hubHost, '--config', hubFile)
    const fileOfA = memberFile(1, m1, await sign('m1', m1, 1))
    let first = await startTunnel(a, '--config', fileOfA)
    await untilPing(a, network.overlay(0), 30_000)
    const tell = async (...peers: string[]) => {
      writeFileSync(hubFile, hubLines(...peers))
      await command('reload')
    }

    const old = await sign('m2', m2, 2, '--serial', '1')
    const fileOfB = memberFile(2, m2, await sign('m2', m2, 2))
    await tell(peerLine('m1', m1, 1), peerLine('m2', m2, 2))
    const startedMs = performance.now()
    const second = await startTunnel(b, '--config', fileOfB)
    await untilPing(a, network.overlay(2))
    t.comment(`answered ${Math.round(performance.now() - startedMs)} ms after its program was started`)
    const refused = async () => (await first.status('tun0')).drops.introduction_refused
    const m2OfA = async () => (await first.status('tun0')).peers.find(({ name }) => name === 'm2')
    t.match(await m2OfA(), { introduced_by: 'hub' })
    await until('it speaks directly', async () => ((await m2OfA())?.inbound.frames ?? 0) > 0)
    t.equal(await refused(), 0)

    // The hub is somebody else's now: without network_key it passes on whatever it likes.
    const evilHub = (...peers: string[]) => {
      writeFileSync(hubFile, hubLines(...peers).replace(/^network_key.*\n/m, ''))
      return command('reload')
    }
    await evilHub(peerLine('m1', m1, 1), peerLine('m2', evil, 2))
    await until('m1 refuses the key of somebody else', async () => (await refused()) > 0)
    await first.said(/hub introduces m2 .* without a signed record/)
    t.equal(await m2OfA(), undefined, 'the hub can keep m2 to itself, but not pretend')

    // The serial number is kept, whatever happens to the program.
    await first.stop('SIGKILL')
    first = await startTunnel(a, '--config', fileOfA)
    await evilHub(peerLine('m1', m1, 1), `  - {record: ${old}}`)
    await first.said(/hub introduces m2 .* with an old record: its serial number is 1/)
    t.equal(await m2OfA(), undefined)

    await tell(peerLine('m1', m1, 1), peerLine('m2', m2, 2))
    await untilPing(a, network.overlay(2), 30_000)
    t.match(await m2OfA(), { introduced_by: 'hub' }, 'the good hub has the record that was given to it')
    for (const it of [first, second, hubTunnel]) {
      t.same(
        it.log.filter(({ msg }) => /fault/.test(String(msg))),
        [],
      )
      t.equal((await it.stop()).code, 0)
    }
  },
)
