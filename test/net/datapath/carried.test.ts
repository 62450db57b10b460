/** Two hosts whose kernels carry the frames: with the real programs, on a real underlay. */
import t from 'tap'
import { BPF_TCX_INGRESS } from '../../../src/linux/bpf.js'
import { attachedTo } from '../../support/hosts/attached.js'
import { carriedWithin, carrier } from '../../support/hosts/carried.js'
import {
  ONE_OF_FIVE,
  ok,
  PROGRAM,
  pings,
  run,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import { transfer } from '../../support/hosts/transfer.js'

const KERNEL = ['--datapath', 'kernel']

const carried = carriedWithin(10_000)

for (const [mode, underlay] of [
  ['tap', 'IPv4'],
  ['tap', 'IPv6'],
  ['tun', 'IPv4'],
  ['tun', 'IPv6'],
] as const) {
  t.test(`mode ${mode} over ${underlay}: pings, TCP, and all of it is counted`, async (t) => {
    using pair = twoHosts()
    const to = underlay === 'IPv4' ? pair.underlay : { a: pair.underlay.a6, b: pair.underlay.b6 }
    const flags = [...KERNEL, '--mode', mode, '--dev', 'tap0']
    const a = await startTunnel(pair.a, ...flags, '10.9.0.1', 'fd00:9::1', to.b)
    const b = await startTunnel(pair.b, ...flags, '10.9.0.2', 'fd00:9::2', to.a)
    await untilPing(pair.a, '10.9.0.2')
    await carried(a, b)
    const before = [await a.status(), await b.status()]
    await ok(pair.a, 'ping', '-q', '-c', '50', '-i', '0.002', '10.9.0.2')
    await ok(pair.a, 'ping', '-q', '-c', '50', '-i', '0.002', '-s', '1400', 'fd00:9::2')
    const bytes = 20_000_000
    const { listener, connector } = await transfer({
      listener: pair.b,
      address: '10.9.0.2',
      connector: pair.a,
      bytes,
    })
    t.same(listener.received, connector.sent)
    t.same(connector.received, listener.sent)
    const after = [await a.status(), await b.status()]
    const [syscallsA, syscallsB] = [0, 1].map(
      (end) => after[end].workers.tap.syscalls - before[end].workers.tap.syscalls,
    )
    t.ok(syscallsA < 200 && syscallsB < 200, `the workers made ${syscallsA} and ${syscallsB} system calls`)
    for (const end of [0, 1]) {
      const [out, into] = (['outbound', 'inbound'] as const).map(
        (way) => after[end].peers[0][way].bytes - before[end].peers[0][way].bytes,
      )
      t.ok(out > bytes && into > bytes, `${out} bytes out, ${into} bytes in`)
      t.equal(after[end].peers[0].state, 'up')
      t.same(after[end].drops, before[end].drops, 'nothing is dropped')
    }
    t.equal(after[0].outbound.frames - before[0].outbound.frames > 10_000, true)
    t.equal((await a.stop()).code, 0)
    t.equal((await b.stop()).code, 0)
  })
}

t.test('towards an end that does not say that it can, the workers carry', async (t) => {
  using pair = twoHosts()
  const a = await startTunnel(pair.a, '--datapath', 'auto', '10.9.0.1', pair.underlay.b)
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  await untilPing(pair.a, '10.9.0.2')
  await until('it answers keepalives', async () => (await a.status()).peers[0].keepalives === true, 15_000)
  t.same(await carrier(a), { by: 'workers', reason: 'peer' })
  t.ok(await pings(pair.a, '10.9.0.2', ...ONE_OF_FIVE))
})

t.test('the workers take over, and nothing stays behind', async (t) => {
  using pair = twoHosts()
  const a = await startTunnel(pair.a, ...KERNEL, '10.9.0.1', pair.underlay.b)
  const b = await startTunnel(pair.b, ...KERNEL, '10.9.0.2', pair.underlay.a)
  await untilPing(pair.a, '10.9.0.2')
  await carried(a, b)

  const capture = pair.a.spawn('tcpdump', ['-ni', 'tap0', '-c', '20', '--immediate-mode', 'icmp'])
  await until('a capture is seen', async () => (await carrier(a)).reason === 'capture')
  // More than it waits for, so that a lost one is no matter. One direction would be too few.
  await ok(pair.a, 'ping', '-q', '-c', '15', '-i', '0.05', '10.9.0.2')
  await until('it has both directions', () => capture.exitCode === 0, 20_000)
  await carried(a)

  await ok(
    pair.a,
    'tc',
    'qdisc',
    'add',
    'dev',
    'tap0',
    'root',
    'tbf',
    'rate',
    '1gbit',
    'burst',
    '1mb',
    'limit',
    '1mb',
  )
  await until('a qdisc is seen', async () => (await carrier(a)).reason === 'qdisc')
  t.ok(await pings(pair.a, '10.9.0.2', ...ONE_OF_FIVE))
  await ok(pair.a, 'tc', 'qdisc', 'del', 'dev', 'tap0', 'root')
  await carried(a)

  // A firewall that closes the port stops both: the kernel's datapath does not ask it.
  await ok(pair.b, 'nft', 'add table inet f; add chain inet f in { type filter hook input priority 0; }')
  await ok(pair.b, 'nft', 'add rule inet f in udp dport 5149 drop')
  await until('the workers carry it', async () => (await carrier(a)).reason === 'unproved', 10_000)
  t.notOk(await pings(pair.a, '10.9.0.2', '-W', '0.3'), 'nothing passes')
  await ok(pair.b, 'nft', 'delete table inet f')
  await carried(a, b)

  t.equal(attachedTo(pair.b, 'eth0', BPF_TCX_INGRESS), 1)
  await b.stop('SIGKILL')
  await until('nothing is left at the underlay', () => attachedTo(pair.b, 'eth0', BPF_TCX_INGRESS) === 0)
  await until('it is not carried any more', async () => (await carrier(a)).by === 'workers', 10_000)
  await startTunnel(pair.b, ...KERNEL, '10.9.0.2', pair.underlay.a)
  await untilPing(pair.a, '10.9.0.2')
  await carried(a)
  t.ok(await pings(pair.a, '10.9.0.2', ...ONE_OF_FIVE))
  t.equal((await a.stop()).code, 0)
})

t.test('what it does not go with is refused in a sentence', async (t) => {
  using pair = twoHosts()
  for (const [flags, what] of [
    [['--relay'], '--relay'],
    [['--mss-clamp'], '--mss-clamp'],
  ] as const) {
    const { code, stderr } = await run(pair.a, process.execPath, [
      PROGRAM,
      'start',
      ...KERNEL,
      ...flags,
      '10.9.0.1',
      pair.underlay.b,
    ])
    t.equal(code, 2)
    t.equal(stderr, `udptun-fast: --datapath kernel does not go with ${what}; leave one of them out\n`)
  }
})
