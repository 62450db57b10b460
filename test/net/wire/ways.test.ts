/** What the kernel makes of addresses. */
import t from 'tap'
import { wayTo } from '../../../src/control/kernel/way-to.js'
import { addAddress } from '../../../src/linux/address.js'
import { createLink, getLink, setLink } from '../../../src/linux/interface.js'
import { tunnelRemote } from '../../../src/linux/tunnel-remote.js'
import { ok, twoHosts } from '../../support/hosts/lab.js'

t.test('hosts, this host, groups of hosts, and what is behind a device or on top of it', async (t) => {
  using pair = twoHosts()
  const { a, underlay } = pair
  await ok(a, 'ip', 'link', 'add', 'link', 'eth0', 'name', 'above0', 'type', 'macvlan')
  a.configure('above0', ['198.51.100.1/24'])
  a.netlink((netlink) => {
    createLink(netlink, 'bridge', 'other0')
    const { index } = getLink(netlink, 'other0')
    addAddress(netlink, index, 'fe80::77', 64)
    setLink(netlink, index, { up: true })
    const kind = (address: string, device?: number) => wayTo(netlink, address, device).kind
    t.equal(kind(underlay.b), 'host')
    t.equal(kind(underlay.b6), 'host')
    t.equal(kind(underlay.a), 'own')
    t.equal(kind(underlay.a6), 'own')
    t.equal(kind('127.0.0.1'), 'own')
    t.equal(kind('::1'), 'own')
    t.equal(kind('fe80::77%other0'), 'own')
    t.equal(kind(`fe80::77%${index}`), 'own')
    t.equal(kind('fe80::78%other0'), 'host')
    t.equal(kind('fe80::77%eth0'), 'host', 'another one, of the same address on another link')
    t.equal(kind('192.0.2.255'), 'broadcast')
    t.equal(kind('ff02::1%eth0'), 'multicast')
    t.equal(kind('203.0.113.1'), 'unroutable')
    const eth0 = getLink(netlink, 'eth0').index
    t.equal(kind('198.51.100.2'), 'host')
    t.equal(kind('198.51.100.2', eth0), 'inside', 'an interface on top of it')
    t.equal(kind(underlay.b, eth0), 'inside')
    t.equal(kind('fe80::1%eth0', eth0), 'inside')
    t.equal(kind(underlay.b, index), 'host')
    t.equal(wayTo(netlink, underlay.b, eth0).underlay.interface, undefined)
    t.equal(wayTo(netlink, underlay.b, undefined).underlay.mtuBytes, 1500)
  })
})

t.test('the way from another address of this host may be another one', async (t) => {
  using pair = twoHosts()
  const { a, underlay } = pair
  const [second, second6] = ['192.0.2.9', '2001:db8::9']
  a.configure('eth0', [`${second}/24`, `${second6}/64`])
  await ok(a, 'ip', 'route', 'add', '203.0.113.0/24', 'via', underlay.b)
  await ok(a, 'ip', 'route', 'add', 'unreachable', '203.0.113.0/24', 'table', '77')
  await ok(a, 'ip', 'rule', 'add', 'from', second, 'lookup', '77')
  a.netlink((netlink) => {
    const way = (to: string, from?: string) => wayTo(netlink, to, undefined, undefined, { from })
    t.equal(way(underlay.b).source, underlay.a, 'the choice of the kernel')
    t.equal(way(underlay.b6).source, second6, 'which for IPv6 is the newest')
    t.match(way(underlay.b, second), { kind: 'host', underlay: { interface: 'eth0' }, source: undefined })
    t.equal(way('203.0.113.1').underlay.gateway, underlay.b)
    t.equal(way('203.0.113.1', second).kind, 'unroutable')
    t.equal(way(underlay.b, '192.0.2.77').kind, 'unroutable', 'an address that this host does not have')
  })
})

t.test("the kernel's tunnels lead to where their own packets go", async (t) => {
  using pair = twoHosts()
  const { a, underlay } = pair
  const kinds = {
    vx4: ['vxlan', 'id', '1', 'dstport', '4789', 'remote', underlay.b],
    vx6: ['vxlan', 'id', '2', 'dstport', '4790', 'remote', underlay.b6],
    far: ['vxlan', 'id', '3', 'dstport', '4791', 'remote', '203.0.113.1'],
    none: ['vxlan', 'id', '4', 'dstport', '4792'],
  }
  for (const [index, [name, kind]] of Object.entries(kinds).entries()) {
    await ok(a, 'ip', 'link', 'add', name, 'type', ...kind)
    a.configure(name, [`10.${index}.0.1/24`])
  }
  await ok(a, 'ip', ...'link add over0 type vxlan id 9 dstport 4799 remote 10.0.0.2'.split(' '))
  a.configure('over0', ['10.9.0.1/24'])
  await ok(a, 'ip', ...'link add ring0 type vxlan id 8 dstport 4798 remote 10.8.0.2'.split(' '))
  a.configure('ring0', ['10.8.0.1/24'])
  a.netlink((netlink) => {
    const eth0 = getLink(netlink, 'eth0').index
    const kind = (address: string) => wayTo(netlink, address, eth0)
    for (const address of ['10.0.0.2', '10.1.0.2', '10.9.0.2'])
      t.match(kind(address), { kind: 'inside', underlay: { interface: undefined } }, address)
    t.equal(kind('10.9.0.2').inwards, 'over0')
    t.equal(kind('10.2.0.2').kind, 'host', 'there is no route to the far end')
    t.equal(kind('10.3.0.2').kind, 'host', 'it has no far end')
    t.equal(kind('10.8.0.2').kind, 'host', 'it is inside itself')
    t.equal(tunnelRemote(getLink(netlink, 'vx6').info ?? Buffer.alloc(0)), underlay.b6)
  })
})

t.test(
  'a bridge that the device is a port of leads into the tunnel only to what is behind a peer',
  async (t) => {
    using pair = twoHosts()
    const { a } = pair
    await ok(a, 'ip', 'link', 'add', 'port0', 'type', 'veth', 'peer', 'name', 'far0')
    a.netlink((netlink) => {
      createLink(netlink, 'bridge', 'br0')
      const master = getLink(netlink, 'br0').index
      setLink(netlink, getLink(netlink, 'port0').index, { master, up: true })
      setLink(netlink, master, { up: true })
    })
    a.configure('br0', ['10.9.0.1/24'])
    for (const host of [2, 3])
      await ok(a, 'ip', 'neigh', 'add', `10.9.0.${host}`, 'lladdr', `02:00:00:00:00:0${host}`, 'dev', 'br0')
    await ok(a, 'ip', 'route', 'add', '203.0.113.0/24', 'via', '10.9.0.2')
    a.netlink((netlink) => {
      const device = getLink(netlink, 'port0').index
      const isBehindPeer = (mac: Uint8Array) => mac[5] === 2
      const way = (address: string) => wayTo(netlink, address, device, isBehindPeer)
      t.match(way('10.9.0.2'), { kind: 'inside', underlay: { interface: undefined } })
      t.match(
        way('203.0.113.7'),
        { kind: 'inside', underlay: { interface: undefined } },
        'the router is behind a peer',
      )
      t.match(way('10.9.0.3'), { kind: 'host', underlay: { interface: 'br0' } })
      t.match(
        way('10.9.0.4'),
        { kind: 'unknown', underlay: { interface: 'br0' } },
        'nobody knows its MAC address',
      )
      t.equal(way('192.0.2.2').kind, 'host')
      t.equal(wayTo(netlink, '10.9.0.2', undefined, isBehindPeer).kind, 'host')
    })
  },
)
