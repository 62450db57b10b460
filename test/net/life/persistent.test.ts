/** A device that was there before, and stays: it is taken, and is afterwards what it was. */
import t from 'tap'
import type { Host } from '../../../src/lab/host.js'
import { ok, PROGRAM, RunningTunnel, run, startTunnel, twoHosts, untilPing } from '../../support/hosts/lab.js'

const START = ['10.9.0.1', 'fd00:9::1', '192.0.2.2']

/** Everything that a run sets. */
async function stateOf(host: Host, device = 'tap0'): Promise<unknown> {
  const [link] = JSON.parse(await ok(host, 'ip', '-j', '-d', 'addr', 'show', 'dev', device))
  const { addr_info, address, mtu, flags, linkinfo } = link
  const addresses = addr_info.map((it: { local: string; prefixlen: number }) => `${it.local}/${it.prefixlen}`)
  const knobs = ['ipv4/conf/tap0/arp_notify', 'ipv6/conf/tap0/ndisc_notify'].map((knob) =>
    ok(host, 'cat', `/proc/sys/net/${knob.replace('tap0', device)}`),
  )
  const up = flags.includes('UP')
  return { addresses, address, mtu, up, type: linkinfo.info_data.type, knobs: await Promise.all(knobs) }
}

for (const [what, commands] of [
  ['bare', []],
  [
    'with a MAC, an MTU and addresses of its own, one of them that of the tunnel',
    [
      'link set tap0 address 02:00:00:00:00:77',
      'link set tap0 mtu 1400',
      'addr add 10.77.0.1/24 dev tap0',
      'addr add 10.9.0.1/24 dev tap0',
    ],
  ],
  ['up', ['link set tap0 address 02:00:00:00:00:77', 'link set tap0 addrgenmode none', 'link set tap0 up']],
] as const)
  t.test(`start, stop, start, stop: ${what}`, async (t) => {
    using pair = twoHosts()
    await ok(pair.a, 'ip', 'tuntap', 'add', 'dev', 'tap0', 'mode', 'tap')
    for (const command of commands) await ok(pair.a, 'ip', ...command.split(' '))
    const before = await stateOf(pair.a)
    await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
    for (let round = 0; round < 2; round++) {
      const tunnel = await startTunnel(pair.a, ...START, '--mac', '02:00:00:00:00:09')
      await untilPing(pair.a, '10.9.0.2')
      t.match(await stateOf(pair.a), { up: true, address: '02:00:00:00:00:09', mtu: 1458 })
      t.equal((await tunnel.stop()).code, 0, tunnel.stderr)
      t.same(await stateOf(pair.a), before)
    }
  })

t.test('after kill -9 the next start works', async (t) => {
  using pair = twoHosts()
  await ok(pair.a, 'ip', 'tuntap', 'add', 'dev', 'tap0', 'mode', 'tap')
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  const killed = await startTunnel(pair.a, ...START)
  killed.child.kill('SIGKILL')
  await killed.ended
  const next = await startTunnel(pair.a, ...START)
  await untilPing(pair.a, '10.9.0.2')
  t.equal((await next.stop()).code, 0)
})

t.test('it may have several queues or belong to somebody else', async (t) => {
  using pair = twoHosts()
  await ok(pair.a, 'ip', 'tuntap', 'add', 'dev', 'tap0', 'mode', 'tap', 'multi_queue', 'user', '1000')
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  const tunnel = await startTunnel(pair.a, ...START)
  await untilPing(pair.a, '10.9.0.2')
  const flags = ['--listen', '6000', '--dev', 'tap0']
  const second = new RunningTunnel(pair.a, ['10.8.0.1', '192.0.2.9', ...flags])
  t.equal((await second.ended).code, 1)
  t.equal(
    second.stderr,
    'udptun-fast: the device tap0 is taken by another program; stop that or choose another name with --dev\n',
  )
  t.equal((await tunnel.stop()).code, 0)
})

t.test('one that cannot be taken is said in one sentence', async (t) => {
  using pair = twoHosts()
  await ok(pair.a, 'ip', 'tuntap', 'add', 'dev', 'tap0', 'mode', 'tun')
  await ok(pair.a, 'ip', 'tuntap', 'add', 'dev', 'tap1', 'mode', 'tap', 'user', '1000')
  const start = ['start', ...START, '--dev']
  const other = await run(pair.a, process.execPath, [PROGRAM, ...start, 'tap0'])
  t.match(other, {
    code: 1,
    stderr: /^udptun-fast: there is a device tap0 already, and it is not a free tap device; /,
  })
  // Nobody but root and its owner may take it.
  const nobody = ['--reuid', '65534', '--clear-groups', process.execPath, PROGRAM, ...start, 'tap1']
  const stranger = await run(pair.a, 'setpriv', nobody)
  t.match(stranger, {
    code: 1,
    stderr: /^udptun-fast: taking the device tap1 needs the capability CAP_NET_ADMIN; run as root/,
  })
})
