import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import {
  IN_VAIN,
  ok,
  PROGRAM,
  pings,
  run,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import { leftIn } from '../../support/hosts/leftovers.js'
import { Network } from '../../support/hosts/network.js'
import { PacketSocket } from '../../support/hosts/packet-socket.js'
import { transfer } from '../../support/hosts/transfer.js'
import { KeyFolder, type KeyPair, keyFlags } from '../../support/hosts/wireguard-go.js'

const MiB = 1024 * 1024

for (const [mode, underlay, cryptoWorkers] of [
  ['tap', 'IPv4', 0],
  ['tun', 'IPv6', 0],
  ['tun', 'IPv4', 3],
] as const) {
  t.test(
    `TCP both ways at once arrives whole through a private tunnel: ${mode} over ${underlay}, ${cryptoWorkers} crypto workers`,
    async (t) => {
      using keys = new KeyFolder()
      using pair = twoHosts()
      const { a, b, a6, b6 } = pair.underlay
      const [toA, toB] = underlay === 'IPv4' ? [a, b] : [a6, b6]
      const [ka, kb] = [keys.make('a'), keys.make('b')]
      const flags = ['--mode', mode, '--crypto-workers', String(cryptoWorkers)]
      const near = await startTunnel(pair.a, '10.9.0.1', 'fd00:9::1', toB, ...flags, ...keyFlags(ka, kb))
      const far = await startTunnel(pair.b, '10.9.0.2', 'fd00:9::2', toA, ...flags, ...keyFlags(kb, ka))
      await untilPing(pair.a, '10.9.0.2')
      const ends = { listener: pair.b, connector: pair.a, bytes: 8 * MiB }
      const transfers = await Promise.all([
        transfer({ ...ends, address: '10.9.0.2', port: 7004 }),
        transfer({ ...ends, address: 'fd00:9::2', port: 7006 }),
      ])
      for (const { listener, connector } of transfers) {
        t.same(listener.received, connector.sent)
        t.same(connector.received, listener.sent)
        t.equal(listener.received.bytes, 8 * MiB)
      }
      for (const tunnel of [near, far]) {
        const { drops, super_frames, peers, crypto_workers, workers } = await tunnel.status(`${mode}0`)
        t.equal(crypto_workers, cryptoWorkers)
        const spread = workers.tap.spread_messages + workers.udp.spread_messages
        t.equal(spread > 1_000, cryptoWorkers > 0, `${spread} messages in batches for several threads`)
        t.equal(drops.not_authentic + drops.replayed + drops.not_private + drops.no_keypair, 0)
        t.ok(super_frames.read > 10 && super_frames.written > 10, 'super-frames on both sides of the sealing')
        t.equal(peers[0].path_mtu?.bytes, 1500)
        await tunnel.stop()
      }
    },
  )
}

t.test('nothing of what is inside shows outside, and every frame arrives as it was', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const [ka, kb] = [keys.make('a'), keys.make('b')]
  const near = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, ...keyFlags(ka, kb))
  const far = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, ...keyFlags(kb, ka))
  await untilPing(pair.a, '10.9.0.2')
  using wire = new PacketSocket(pair.b, 'eth0')
  using inside = new PacketSocket(pair.b, 'tap0')
  using out = new PacketSocket(pair.a, 'tap0')
  const mark = Buffer.from('a secret that nobody may read on the way')
  const sent = Array.from({ length: 64 }, (_, index) =>
    Buffer.concat([
      Buffer.from('ffffffffffff0200000000aa1234', 'hex'),
      Buffer.alloc(index * 11 + 1, index),
      mark,
    ]),
  )
  for (const frame of sent) out.send(frame)
  const arrived = await inside.capture(
    sent.length,
    ({ bytes, outgoing }) => !outgoing && bytes.includes(mark),
  )
  t.same(
    arrived.map(({ bytes }) => bytes),
    sent,
    'bit for bit, of whatever length',
  )
  const outside = await wire.capture(sent.length, () => true, 500)
  t.ok(outside.length > 0)
  t.notOk(outside.some(({ bytes }) => bytes.includes(mark)))
  await near.stop()
  await far.stop()
})

t.test('datagrams that are replayed, forged or in the clear come to nothing', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const [ka, kb] = [keys.make('a'), keys.make('b')]
  const near = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, ...keyFlags(ka, kb))
  const far = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, ...keyFlags(kb, ka))
  using wire = new PacketSocket(pair.a, 'eth0')
  await untilPing(pair.a, '10.9.0.2')
  await sleep(200)
  const port = Buffer.from([5149 >> 8, 5149 & 0xff])
  const seen = await wire.capture(
    100,
    ({ bytes, outgoing }) => outgoing && bytes.indexOf(port, 34) === 34,
    200,
  )
  t.ok(seen.length > 5, `${seen.length} datagrams`)
  const before = await far.status()
  for (const { bytes } of seen) {
    // A checksum that the interface was to complete; none is as good.
    bytes.writeUInt16BE(0, 40)
    wire.send(bytes)
  }
  await until('replays are seen through', async () => {
    const { drops } = await far.status()
    return drops.replayed - before.drops.replayed >= 3
  })
  const plain = `import socket;s=socket.socket(2,2);s.bind(("",5150));[s.sendto(b"\\xff"*6+b"\\x02\\0\\0\\0\\0\\xaa\\x08\\x06"+bytes(46),("${pair.underlay.b}",5149)) for _ in range(20)]`
  await ok(pair.a, 'python3', '-c', plain)
  await until('plain frames are refused', async () => (await far.status()).drops.not_private >= 20)
  const after = await far.status()
  t.equal(after.peers[0].endpoint, `${pair.underlay.a}:5149`)
  t.ok(await pings(pair.a, '10.9.0.2'))
  await near.stop()
  await far.stop()
})

t.test('a tap end and a tun end, or ends with other keys, never come to a tunnel', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const [ka, kb, kc] = [keys.make('a'), keys.make('b'), keys.make('c')]
  const near = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, ...keyFlags(ka, kb))
  const tun = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, '--mode', 'tun', ...keyFlags(kb, ka))
  await until('handshakes are refused', async () => {
    const [a, b] = [await near.status(), await tun.status('tun0')]
    return a.drops.handshake_refused + b.drops.handshake_refused > 0
  })
  t.equal((await near.status()).peers[0].privacy?.handshake_s, null)
  await tun.stop()
  const stranger = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, ...keyFlags(kc, ka))
  await until(
    'a stranger is told apart',
    async () => (await near.status()).drops.handshake_unknown_peer > 0,
    10_000,
  )
  t.equal((await near.status()).peers[0].privacy?.handshake_s, null)
  await stranger.stop()
  await near.stop()
})

t.test(
  'three hosts, each with a key: all reach all, and a question for everybody goes to each sealed for it',
  async (t) => {
    using keys = new KeyFolder()
    using network = new Network(3)
    const pairs = network.hosts.map((_, index) => keys.make(`h${index}`))
    const tunnels = await Promise.all(
      network.hosts.map((host, index) => {
        const others = network.hosts.flatMap((_, other) => (other === index ? [] : other))
        const lines = [
          `local: [${network.overlay(index)}]`,
          `private_key_file: ${pairs[index].file}`,
          'peers:',
          ...others.flatMap((other) => [
            `  - endpoint: ${network.underlay(other)}`,
            `    public_key: ${pairs[other].publicKey}`,
          ]),
        ]
        return startTunnel(host, '--config', keys.write(`h${index}.yaml`, lines.join('\n')))
      }),
    )
    for (const [from, host] of network.hosts.entries())
      for (const to of network.hosts.keys()) if (from !== to) await untilPing(host, network.overlay(to))
    const { stdout } = await run(network.hosts[0], 'ping', [
      '-b',
      '-c',
      '2',
      '-W',
      '1',
      '255.255.255.255',
      '-I',
      'tap0',
    ])
    t.match(stdout, /2 packets transmitted/)
    for (const tunnel of tunnels) {
      const { peers, drops } = await tunnel.status()
      t.ok(peers.every(({ privacy }) => privacy?.handshake_s !== null))
      t.equal(drops.not_authentic + drops.replayed, 0)
      await tunnel.stop()
    }
  },
)

t.test('a peer is given another key while the tunnel runs, and is another one from then on', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const [ka, kb, kc] = [keys.make('a'), keys.make('b'), keys.make('c')]
  const config = (peer: KeyPair) =>
    keys.write(
      'a.yaml',
      [
        'local: [10.9.0.1]',
        `private_key_file: ${ka.file}`,
        `peers: [{endpoint: ${pair.underlay.b}, public_key: ${peer.publicKey}}]`,
      ].join('\n'),
    )
  const near = await startTunnel(pair.a, '--config', config(kb))
  const far = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, ...keyFlags(kb, ka))
  await untilPing(pair.a, '10.9.0.2')
  config(kc)
  near.child.kill('SIGHUP')
  await near.said(/reloaded the peers/)
  t.notOk(await pings(pair.a, '10.9.0.2', ...IN_VAIN))
  await far.stop()
  const other = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, ...keyFlags(kc, ka))
  await untilPing(pair.a, '10.9.0.2', 15_000)
  await other.stop()
  await near.stop()
})

t.test('on a hub with relay each frame is opened and sealed anew for the one it is for', async (t) => {
  using keys = new KeyFolder()
  using network = new Network(3)
  const pairs = network.hosts.map((_, index) => keys.make(`h${index}`))
  const start = (index: number, others: readonly number[], ...more: string[]) => {
    const lines = [
      `local: [${network.overlay(index)}]`,
      `private_key_file: ${pairs[index].file}`,
      ...more,
      'peers:',
      ...others.flatMap((other) => [
        `  - endpoint: ${network.underlay(other)}`,
        `    public_key: ${pairs[other].publicKey}`,
      ]),
    ]
    return startTunnel(network.hosts[index], '--config', keys.write(`hub${index}.yaml`, lines.join('\n')))
  }
  const hub = await start(0, [1, 2], 'relay: true')
  const spokes = [await start(1, [0]), await start(2, [0])]
  await untilPing(network.hosts[1], network.overlay(2))
  const before = (await hub.status()).outbound.frames
  const ends = { listener: network.hosts[2], connector: network.hosts[1], bytes: 4 * MiB }
  const { listener, connector } = await transfer({ ...ends, address: network.overlay(2) })
  t.same(listener.received, connector.sent)
  t.same(connector.received, listener.sent)
  const { drops, outbound } = await hub.status()
  t.ok(outbound.frames - before > (2 * 4 * MiB) / 1500, 'all of it has gone through the hub')
  t.equal(drops.not_authentic + drops.replayed + drops.not_private, 0)
  for (const tunnel of [...spokes, hub]) await tunnel.stop()
})

t.test('a start with a key that nobody can talk to ends with one sentence, and leaves nothing', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const own = keys.make('a')
  for (const [key, complaint] of [
    [own.publicKey, /is this host's own/],
    [Buffer.alloc(32).toString('base64'), /is one that no host can have/],
  ] as const) {
    const args = ['start', '10.9.0.1', pair.underlay.b, '--private-key-file', own.file, '--peer-key', key]
    const { code, stderr } = await run(pair.a, process.execPath, [PROGRAM, ...args])
    t.equal(code, 2)
    t.match(stderr, complaint)
    t.equal(stderr.trim().split('\n').length, 1)
    t.same(leftIn(pair.a), [])
  }
})

t.test('settings with a key that nobody can talk to are not taken, and all is as it was', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const [ka, kb] = [keys.make('a'), keys.make('b')]
  const config = (publicKey: string) =>
    keys.write(
      'a.yaml',
      [
        'local: [10.9.0.1]',
        `private_key_file: ${ka.file}`,
        `peers: [{endpoint: ${pair.underlay.b}, public_key: ${publicKey}}]`,
      ].join('\n'),
    )
  const near = await startTunnel(pair.a, '--config', config(kb.publicKey))
  const far = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, ...keyFlags(kb, ka))
  await untilPing(pair.a, '10.9.0.2')
  for (const [key, complaint] of [
    [ka.publicKey, /is this host's own/],
    [Buffer.alloc(32).toString('base64'), /is one that no host can have/],
  ] as const) {
    config(key)
    near.child.kill('SIGHUP')
    await near.said(complaint)
    t.ok(await pings(pair.a, '10.9.0.2'))
    t.equal((await near.status()).peers.length, 1)
  }
  await far.stop()
  await near.stop()
})
