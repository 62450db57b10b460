import t from 'tap'
import { underlayTo } from '../../../../src/control/kernel/way-to.js'
import { deviceMtuBytes } from '../../../../src/control/peer/underlay.js'
import { encapFor } from '../../../../src/encap/encap.js'
import { Netlink } from '../../../../src/linux/netlink.js'

t.test('the way to this host itself is the loopback interface, as long as an IP packet can be', async (t) => {
  using netlink = new Netlink()
  const underlay = underlayTo(netlink, '127.0.0.1')
  t.equal(underlay.interface, 'lo')
  t.ok(underlay.mtuBytes <= 65_535)
  const loopback = { remoteAddress: '127.0.0.1', underlayMtuBytes: 65_535 }
  const tunnel = {
    encap: encapFor('tap', false),
    wanted: 'auto',
    vlan: false,
    overlayHasIpv6: false,
  } as const
  t.equal(deviceMtuBytes({ ...tunnel, ...loopback }), 65_493)
})
