import t from 'tap'
import { loadSettings } from '../../../src/config/load.js'
import { vxlanOf } from '../../../src/config/vxlan.js'

const FLAGS = { local: ['10.9.0.1'], encap: 'vxlan', vni: '42' }
const given = (flags: object) => loadSettings({ ...FLAGS, remote: 'host-b', ...flags })
const sentence = (flags: object) => {
  try {
    given(flags)
    return 'it is taken'
  } catch (error) {
    t.match(error, { exitCode: 2 })
    return (error as Error).message
  }
}

t.test('all ends use one port: that of VXLAN, or that of listen', async (t) => {
  const settings = given({})
  t.match(settings, { listen: { port: 4789 }, peers: [{ name: 'host-b', endpoint: { port: 4789 } }] })
  t.same(vxlanOf(settings), { vni: 42, port: 4789 })
  const other = given({ listen: '8472' })
  t.match(other, { listen: { port: 8472 }, peers: [{ endpoint: { port: 8472 } }] })
  t.match(given({ listen: '8472', remote: 'host-b:8472' }).peers, [{ endpoint: { port: 8472 } }])
  t.match(given({ remote: undefined, peers: ['b', 'c'] }).peers, [
    { endpoint: { host: 'b', port: 4789 } },
    { endpoint: { host: 'c', port: 4789 } },
  ])
  t.equal(vxlanOf(loadSettings({ local: ['10.9.0.1'], remote: 'host-b' })), undefined)
})

t.test('what does not go together is refused in one sentence', async (t) => {
  for (const [flags, message] of [
    [{ vni: undefined }, '--encap: vxlan needs the number of the network; give a vni (--vni), such as 42'],
    [{ encap: undefined }, '--vni: is for encap vxlan; give that, too, or leave it out'],
    [{ vni: '16777216' }, '--vni: "16777216" is not a VNI; use a number from 0 to 16777215'],
    [{ mode: 'tun' }, '--encap: vxlan carries Ethernet frames, and mode tun has none; leave one of them out'],
    [
      { relay: true },
      '--relay: makes no sense with encap vxlan, because each end of such a network sends to all others itself; leave it out',
    ],
    [{ listen: '0' }, '--listen: needs a port with encap vxlan, the one of all ends, such as 4789'],
    [
      { remote: 'host-b:8472' },
      'remote: "host-b:8472" has another port than listen has (4789), and all ends of a VXLAN network use one; leave one of them out',
    ],
  ] as const)
    t.equal(sentence(flags), message)
})
