import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'
import t from 'tap'
import type { Host } from '../../../src/lab/host.js'
import { Program } from '../../../src/lab/program.js'
import { getLink } from '../../../src/linux/interface.js'
import {
  ok,
  PROGRAM,
  pings,
  RunningTunnel,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'

const linkOf = (host: Host, device: string) => host.netlink((netlink) => getLink(netlink, device))

/** What the kernel says of a device's addresses: `address/prefix`, without those it made up itself. */
async function addressesOf(host: Host, device: string): Promise<string[]> {
  const [{ addr_info }] = JSON.parse(await ok(host, 'ip', '-j', 'addr', 'show', 'dev', device))
  return addr_info
    .filter(({ scope }: { scope: string }) => scope === 'global')
    .map(({ local, prefixlen }: { local: string; prefixlen: number }) => `${local}/${prefixlen}`)
}

t.test(
  'two arguments on each host and they share an Ethernet; a line says what is up, one that it is not private',
  async (t) => {
    using pair = twoHosts()
    const a = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
    const b = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
    await untilPing(pair.a, '10.9.0.2')
    t.ok(await pings(pair.b, '10.9.0.1'))
    t.same(await addressesOf(pair.a, 'tap0'), ['10.9.0.1/24'])
    t.match(linkOf(pair.a, 'tap0'), { up: true, mtuBytes: 1458 })
    const said = a.log.map(({ msg }) => String(msg)).filter((msg) => !/ is heard/.test(msg))
    t.equal(said.length, 2)
    t.match(
      said[1],
      /^this tunnel is not private: anybody on the way can read what it carries, and add frames to it/,
    )
    t.match(a.log[0], {
      level: 30,
      device: 'tap0',
      mode: 'tap',
      local: ['10.9.0.1/24'],
      mtu_bytes: 1458,
      remote: '192.0.2.2:5149',
      underlay: 'eth0',
      msg: 'tap0 is up: 10.9.0.1/24, MTU 1458, to 192.0.2.2:5149 over UDP, listening on [::]:5149',
    })
    t.equal(a.stderr, '')
    t.equal((await a.stop()).code, 0)
    t.equal((await b.stop()).code, 0)
    t.throws(() => linkOf(pair.a, 'tap0'), /ENODEV/, 'the device is gone')
  },
)

t.test('on a terminal its lines are for people', async (t) => {
  using pair = twoHosts()
  const start = [process.execPath, PROGRAM, 'start', '10.9.0.1', pair.underlay.b, '--warm-up', 'off'].join(
    ' ',
  )
  const options = ['--quiet', '--return', '--command', `exec ${start}`, '/dev/null']
  const { child } = new Program(pair.a, 'script', options, { stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  child.stdout?.on('data', (chunk) => {
    said += stripVTControlCharacters(String(chunk))
  })
  await until('it is up, or has ended', () => said.includes('not private') || child.exitCode !== null)
  t.match(said, /^\[\d\d:\d\d:\d\d\] INFO: tap0 is up: 10\.9\.0\.1\/24, MTU 1458, /)
  t.match(said, /\n\[\d\d:\d\d:\d\d\] WARN: this tunnel is not private/)
  child.stdin?.write('\x03')
  await until('it has ended', () => child.exitCode !== null)
  t.equal(child.exitCode, 0)
})

t.test('a host has several overlay addresses, IPv4 and IPv6, all of use at once', async (t) => {
  using pair = twoHosts()
  const { a, b } = pair.underlay
  await startTunnel(pair.a, '10.9.0.1', '10.77.0.1/16', 'fd00:9::1', 'fd00:77::1/48', b)
  await startTunnel(pair.b, '10.9.0.2', '10.77.200.2/16', 'fd00:9::2', 'fd00:77:0:1::2/48', a)
  t.same(
    (await addressesOf(pair.a, 'tap0')).sort(),
    ['10.77.0.1/16', '10.9.0.1/24', 'fd00:77::1/48', 'fd00:9::1/64'],
    'with /24 and /64 where nothing is said',
  )
  const targets = ['10.9.0.2', '10.77.200.2', 'fd00:9::2', 'fd00:77:0:1::2']
  t.same(await Promise.all(targets.map((target) => pings(pair.a, target))), [true, true, true, true])
})

t.test('the device, MAC, MTU and port are what the flags say', async (t) => {
  using pair = twoHosts()
  const { a, b } = pair.underlay
  const flags = ['--dev', 'lan-b', '--mac', '02:00:00:00:00:07', '--mtu', '1300']
  await startTunnel(pair.a, '10.9.0.1/28', `${b}:6001`, ...flags, '--listen', '6000')
  await startTunnel(pair.b, '10.9.0.2/28', `${a}:6000`, '--listen', `${b}:6001`, '--mtu', 'safe')
  await untilPing(pair.a, '10.9.0.2')
  t.match(linkOf(pair.a, 'lan-b'), { mac: '02:00:00:00:00:07', mtuBytes: 1300, up: true })
  t.same(await addressesOf(pair.a, 'lan-b'), ['10.9.0.1/28'])
  t.equal(linkOf(pair.b, 'tap0').mtuBytes, 576 - 42)
})

t.test('a host has the same MAC after a restart, and another than its peer', async (t) => {
  using pair = twoHosts()
  const macs: (string | undefined)[] = []
  for (const [host, address] of [
    [pair.a, '10.9.0.1'],
    [pair.a, '10.9.0.1'],
    [pair.b, '10.9.0.2'],
  ] as const) {
    const tunnel = await startTunnel(host, address, '192.0.2.9')
    macs.push(linkOf(host, 'tap0').mac)
    await tunnel.stop()
  }
  t.equal(macs[0], macs[1])
  t.not(macs[0], macs[2])
  t.match(macs[0], /^.[26ae](:..){5}$/, 'locally administered, unicast')
})

t.test('a clone that has the same MAC is told of, once; with another file it has another', async (t) => {
  using pair = twoHosts()
  const mac = '02:00:00:00:00:07'
  const a = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, '--mac', mac)
  const b = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, '--mac', mac)
  const pinging = pair.a.spawn('ping', ['-i', '0.05', '10.9.0.2'])
  const warning =
    /^192\.0\.2\.[12] has this device's MAC address, 02:00:00:00:00:07, so its frames from that address are dropped; give one/
  for (const tunnel of [a, b]) t.match(await tunnel.said(warning), { level: 40 })
  await sleep(2_500)
  for (const { log } of [a, b]) t.equal(log.filter(({ msg }) => warning.test(String(msg))).length, 1)
  pinging.kill()
  await b.stop()
  const other = { env: { ...process.env, STATE_DIRECTORY: t.testdir() } }
  const restarted = new RunningTunnel(pair.b, ['10.9.0.2', pair.underlay.a], [], other)
  await restarted.said(/ is up: /)
  await untilPing(pair.a, '10.9.0.2', 10_000)
  t.not(linkOf(pair.b, 'tap0').mac, mac)
})

t.test('without a place for its state, a host still has one MAC', async (t) => {
  using pair = twoHosts()
  const macs: (string | undefined)[] = []
  for (let round = 0; round < 2; round++) {
    const env = { ...process.env, STATE_DIRECTORY: '/proc/nothing' }
    const tunnel = new RunningTunnel(pair.a, ['10.9.0.1', '192.0.2.9'], [], { env })
    await tunnel.said(/ is up: /)
    macs.push(linkOf(pair.a, 'tap0').mac)
    await tunnel.stop()
  }
  t.equal(macs[0], macs[1])
  t.match(macs[0], /^.[26ae](:..){5}$/)
})

t.test('a tap needs no address: it is a port of a bridge, or something else gives it one', async (t) => {
  using pair = twoHosts()
  const a = await startTunnel(pair.a, '--peer', pair.underlay.b)
  const file = join(t.testdir({ 'b.yaml': `remote: ${pair.underlay.a}\nlocal: []\n` }), 'b.yaml')
  const b = await startTunnel(pair.b, '--config', file)
  for (const { log } of [a, b]) t.match(log[0].msg, /^tap0 is up: no address, MTU 1458, to /)
  t.same(await addressesOf(pair.a, 'tap0'), [])
  t.same((await a.status()).local, [])
  t.not(linkOf(pair.a, 'tap0').mac, linkOf(pair.b, 'tap0').mac)
  await ok(pair.a, 'ip', 'link', 'add', 'br0', 'type', 'bridge')
  await ok(pair.a, 'ip', 'link', 'set', 'tap0', 'master', 'br0')
  pair.a.configure('br0', ['10.9.0.1/24'])
  // As a DHCP client does.
  pair.b.configure('tap0', ['10.9.0.2/24'])
  await untilPing(pair.a, '10.9.0.2', 10_000)
  t.equal((await a.stop()).code, 0)
  t.equal((await b.stop()).code, 0)
})

t.test('settings come from a YAML file, and a flag wins', async (t) => {
  using pair = twoHosts()
  const { a, b } = pair.underlay
  const file = join(t.testdir({ 'tunnel.yaml': configFile(b) }), 'tunnel.yaml')
  await startTunnel(pair.a, '--config', file, '--mtu', '1300')
  await startTunnel(pair.b, '10.9.0.2', 'fd00:9::2', `${a}:6000`, '--listen', '6001')
  await untilPing(pair.a, '10.9.0.2')
  t.match(linkOf(pair.a, 'lan7'), { mtuBytes: 1300, mac: '02:00:00:00:00:08' })
  t.same((await addressesOf(pair.a, 'lan7')).sort(), ['10.9.0.1/24', 'fd00:9::1/64'])
})

function configFile(remote: string): string {
  return `# a tunnel
local:
  - 10.9.0.1/24
  - fd00:9::1
remote: ${remote}:6001
dev: lan7
listen: 6000
mac: "02:00:00:00:00:08"
mtu: 1400
`
}

t.test('it needs no other program', async (t) => {
  using pair = twoHosts()
  const alone = { env: { PATH: '/nonexistent' } }
  const a = new RunningTunnel(pair.a, ['10.9.0.1', 'fd00:9::1', pair.underlay.b], [], alone)
  const b = new RunningTunnel(pair.b, ['10.9.0.2', 'fd00:9::2', pair.underlay.a], [], alone)
  await Promise.all([a.said(/is up/), b.said(/is up/)])
  await untilPing(pair.a, '10.9.0.2')
  t.ok(await pings(pair.a, 'fd00:9::2'))
})
