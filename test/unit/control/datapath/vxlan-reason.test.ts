import t from 'tap'
import type { Entry } from '../../../../src/control/datapath/entry.js'
import type { KernelWay } from '../../../../src/control/datapath/kernel-path.js'
import { vxlanReason } from '../../../../src/control/datapath/vxlan-reason.js'

const WAY: KernelWay = {
  interface: 'eth0',
  ifindex: 2,
  gateway: undefined,
  source: '192.0.2.1',
  destination: '192.0.2.2',
  destinationPort: 4789,
  longestFrameBytes: 1450,
}

const entry = (more: object = {}) =>
  ({
    peer: { endpoint: { address: '192.0.2.2', port: 4789 } },
    way: WAY,
    watch: { refused: false },
    ...more,
  }) as Entry

t.test('why the workers carry a peer of a VXLAN network, the first reason first', async (t) => {
  t.equal(vxlanReason(entry(), WAY, undefined), undefined)
  t.equal(vxlanReason(entry({ watch: { refused: true } }), WAY, undefined), 'forbidden')
  t.equal(vxlanReason(entry({ watch: { refused: true } }), WAY, 'capture'), 'capture')
  t.equal(vxlanReason(entry({ way: undefined }), WAY, 'capture'), 'underlay')
  t.equal(vxlanReason(entry({ hindrance: 'nat', way: undefined }), WAY, 'capture'), 'nat')
  t.equal(vxlanReason(entry({ hindrance: 'nat' }), undefined, undefined), 'no_way')
  const ipv6 = entry({ peer: { endpoint: { address: '2001:db8::2', port: 4789 } } })
  t.equal(vxlanReason(ipv6, undefined, undefined), 'checksum')
  t.equal(vxlanReason(entry({ peer: {} }), undefined, undefined), 'no_way')
})
