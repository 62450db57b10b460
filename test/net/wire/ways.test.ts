/** What the kernel makes of addresses. */
import t from 'tap'
import { wayTo } from '../../../src/control/peer/underlay.js'
import { addAddress, createLink, getLink, setLink } from '../../../src/linux/interface.js'
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
