/** Two real hosts behind one NAT of nft(8), and a hub outside: they meet on their LAN. */
import t from 'tap'
import { BehindNat, endpointOf, overlay } from '../../support/hosts/behind-nat.js'
import { ok, until, untilPing } from '../../support/hosts/lab.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'

t.test('two hosts behind one NAT meet on their LAN, follow a new address, and lose nothing', async (t) => {
  using keys = new KeyFolder()
  using lab = new BehindNat()
  await lab.masquerade()
  const startedMs = performance.now()
  const { hub, a, b } = await lab.start(keys)
  const isOnLan = async () =>
    (await endpointOf(a, 'b'))?.startsWith('10.0.0.3:') === true &&
    (await endpointOf(b, 'a'))?.startsWith('10.0.0.2:') === true
  await until('both are on their LAN', isOnLan, 15_000)
  t.comment(`on the LAN ${Math.round(performance.now() - startedMs)} ms after the start of the hub`)
  t.ok((await endpointOf(hub, 'a'))?.startsWith(`${lab.outer}:`), 'the hub sees them behind the NAT')
  await untilPing(lab.inner[0], overlay(2))
  t.match(await ok(lab.inner[0], 'ping', '-q', '-c', '200', '-i', '0.01', overlay(2)), / 200 received/)

  await ok(lab.inner[1], 'ip', 'address', 'del', '10.0.0.3/24', 'dev', 'eth0')
  await ok(lab.inner[1], 'ip', 'address', 'add', '10.0.0.33/24', 'dev', 'eth0')
  await ok(lab.inner[1], 'ip', 'route', 'replace', 'default', 'via', '10.0.0.1')
  const changedMs = performance.now()
  const isFound = async () => (await endpointOf(a, 'b'))?.startsWith('10.0.0.33:') === true
  await until('it is found there', isFound, 20_000)
  t.comment(`found at the new address after ${Math.round(performance.now() - changedMs)} ms`)
  await untilPing(lab.inner[0], overlay(2))
  for (const tunnel of [hub, a, b]) {
    const { drops, faults } = await tunnel.status('tun0')
    t.equal(drops.control_malformed, 0)
    t.equal(faults.count, 0)
  }
  await Promise.all([hub, a, b].map((it) => it.stop()))
})

t.test('a way through a NAT that forgets after 30 s is open after a minute without a frame', async (t) => {
  using keys = new KeyFolder()
  using lab = new BehindNat()
  await lab.masquerade()
  for (const name of ['nf_conntrack_udp_timeout', 'nf_conntrack_udp_timeout_stream'])
    await ok(lab.router, 'sysctl', '-qw', `net.netfilter.${name}=30`)
  const { hub, a, b } = await lab.start(keys)
  await until('the hub knows both', async () => {
    const all = await Promise.all(['a', 'b'].map((name) => endpointOf(hub, name)))
    return all.every((it) => it?.startsWith(`${lab.outer}:`))
  })
  const before = await endpointOf(hub, 'a')
  await new Promise((resolve) => setTimeout(resolve, 65_000))
  t.match(await ok(lab.hub, 'ping', '-c', '1', '-W', '2', overlay(1)), / 1 received/, 'the hub speaks first')
  t.equal(await endpointOf(hub, 'a'), before)
  await Promise.all([hub, a, b].map((it) => it.stop()))
})
