/** A peer that is named by a service of DNS, with a real name server. */
import t from 'tap'
import { RunningTunnel, until, untilPing } from '../../support/hosts/lab.js'
import { asksItsHost, endNames, serveRecords } from '../../support/hosts/names.js'
import { Network } from '../../support/hosts/network.js'

t.test('its SRV record has the host and the port', async (t) => {
  using network = new Network(2)
  const [a] = network.hosts
  const service = '_udptun-fast._udp.test'
  const names = await serveRecords(
    a,
    `${service},b.test,7000,10,5`,
    `${service},away.test,7001,20,5`,
    `b.test,${network.underlay(1)}`,
    'away.test,192.0.2.99',
  )
  const other = await network.start(1, [0], '--listen', '7000')
  const tunnel = new RunningTunnel(a, [network.overlay(0), service], [], asksItsHost(t))
  await tunnel.said(/ is up: /)
  await untilPing(a, network.overlay(1))
  t.match((await tunnel.status()).peers, [{ name: service, endpoint: `${network.underlay(1)}:7000` }])
  await Promise.all([tunnel, other].map((it) => it.stop()))
  await endNames(names)
})

t.test('with --wait, one that does not exist ends the start', async (t) => {
  using network = new Network(1)
  const [a] = network.hosts
  const names = await serveRecords(a)
  const tunnel = new RunningTunnel(a, [network.overlay(0), '_nobody._udp.test', '--wait'], [], asksItsHost(t))
  await until('it has ended', async () => tunnel.child.exitCode !== null)
  t.equal(tunnel.child.exitCode, 1)
  t.match(tunnel.stderr, /the host name "_nobody._udp.test" does not resolve \(ENOTFOUND\)/)
  await endNames(names)
})
