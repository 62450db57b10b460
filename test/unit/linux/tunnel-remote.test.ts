import t from 'tap'
import { IFLA_INFO_DATA, IFLA_INFO_KIND } from '../../../src/linux/constants.js'
import { cString, encodeAttributes } from '../../../src/linux/netlink.js'
import { tunnelRemote } from '../../../src/linux/tunnel-remote.js'

const IPV4 = Buffer.from([192, 0, 2, 9])
const IPV6 = Buffer.from('20010db8000000000000000000000009', 'hex')

/** @param type the attribute with the far end, by its number in the kernel's headers */
function info(kind: string, type: number, far: Uint8Array): Buffer {
  return encodeAttributes([
    [IFLA_INFO_KIND, cString(kind)],
    [
      IFLA_INFO_DATA,
      [
        [1, Buffer.from([7, 0, 0, 0])],
        [type, far],
      ],
    ],
  ])
}

t.test('each kind of tunnel has its far end where the kernel puts it', async (t) => {
  for (const [kind, type, far, address] of [
    ['vxlan', 2, IPV4, '192.0.2.9'],
    ['vxlan', 16, IPV6, '2001:db8::9'],
    ['geneve', 2, IPV4, '192.0.2.9'],
    ['geneve', 7, IPV6, '2001:db8::9'],
    ['gre', 7, IPV4, '192.0.2.9'],
    ['ip6gretap', 7, IPV6, '2001:db8::9'],
    ['ipip', 3, IPV4, '192.0.2.9'],
    ['sit', 3, IPV4, '192.0.2.9'],
    ['ip6tnl', 3, IPV6, '2001:db8::9'],
    ['vti', 5, IPV4, '192.0.2.9'],
  ] as const)
    t.equal(tunnelRemote(info(kind, type, far)), address, kind)
})

t.test('there is none', async (t) => {
  t.equal(tunnelRemote(info('vxlan', 2, new Uint8Array(4))), undefined, 'no one far end')
  t.equal(tunnelRemote(info('vxlan', 3, IPV4)), undefined, 'another attribute')
  t.equal(tunnelRemote(info('veth', 2, IPV4)), undefined, 'no tunnel')
  t.equal(tunnelRemote(info('toString', 2, IPV4)), undefined)
  t.equal(tunnelRemote(info('gre', 7, Buffer.from([1, 2]))), undefined, 'no address')
  t.equal(tunnelRemote(encodeAttributes([[IFLA_INFO_KIND, cString('vxlan')]])), undefined)
  t.equal(tunnelRemote(Buffer.alloc(0)), undefined)
})
