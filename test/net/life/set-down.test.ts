/** Somebody sets the device down and up again. The kernel takes away what it had, and the program gives it again. */
import { join } from 'node:path'
import t from 'tap'
import { ok, startTunnel, twoHosts, until, untilPing } from '../../support/hosts/lab.js'

t.test('mode tap: the overlay address of IPv6 comes back', async (t) => {
  using pair = twoHosts()
  const { a, b, underlay } = pair
  const near = await startTunnel(a, '10.9.0.1', 'fd00:9::1', underlay.b)
  const far = await startTunnel(b, '10.9.0.2', 'fd00:9::2', underlay.a)
  for (const address of ['10.9.0.2', 'fd00:9::2']) await untilPing(a, address)
  await ok(a, 'ip', 'link', 'set', 'tap0', 'down')
  await near.said(/^tap0 is down, so nothing passes/)
  t.equal(await ok(a, 'ip', '-6', 'addr', 'show', 'dev', 'tap0'), '', 'the kernel has taken it')
  await ok(a, 'ip', 'link', 'set', 'tap0', 'up')
  for (const address of ['10.9.0.2', 'fd00:9::2']) await untilPing(a, address)
  t.equal((await near.stop()).code, 0)
  t.equal((await far.stop()).code, 0)
})

const configOf = (remote: string) =>
  `mode: tun
local: [10.9.0.1/24, 'fd00:9::1/64']
peers: [{endpoint: ${remote}, prefixes: [10.77.0.0/16, 0.0.0.0/1, 'fd00:77::/64']}]`

t.test('mode tun, the device in another namespace: routes in that one come back', async (t) => {
  using pair = twoHosts()
  const { a, underlay } = pair
  const holder = a.spawn('unshare', ['-n', 'sleep', '60'])
  const there = (...args: string[]) => ok(a, 'nsenter', '-n', '-t', String(holder.pid), ...args)
  await until('it has a namespace', async () => !/eth0/.test(await there('ip', 'link')))
  const file = join(t.testdir({ 'tunnel.yaml': configOf(underlay.b) }), 'tunnel.yaml')
  const near = await startTunnel(a, '--config', file, '--netns', `/proc/${holder.pid}/ns/net`)
  const routes = async () => [await there('ip', 'route'), await there('ip', '-6', 'route')].join('')
  const before = await routes()
  await there('sh', '-c', 'ip link set tun0 down; ip link set tun0 up')
  await until('they are back', async () => (await routes()) === before)
  for (const network of ['fd00:9::/64', '10.77.0.0/16', '0.0.0.0/1'])
    t.ok(before.includes(`${network} dev tun0`), network)
  t.equal((await near.stop()).code, 0)
})
