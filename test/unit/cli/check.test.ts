import t from 'tap'
import { whatIsWrong } from '../../../src/cli/check.js'
import type { PeerStatus, StatusReport } from '../../../src/control/status.js'
import { HEALTHY, sampleStatus } from '../../support/status-sample.js'

const SAMPLE = sampleStatus()
const WELL = {
  ...SAMPLE.peers[0],
  host: 'host-b',
  endpoint: '198.51.100.2:5149',
  trouble: null,
  state: 'up',
  heard_s: 1,
  keepalives: true,
  mtu_bytes: 1400,
  carried_mtu_bytes: 1400,
  relayed: null,
  datapath: { by: 'kernel', reason: null },
} as const satisfies PeerStatus

function status(...peers: Partial<PeerStatus>[]): StatusReport {
  return {
    ...SAMPLE,
    source_ports: [5149],
    listen_trouble: null,
    missing_routes: [],
    mtu_bytes: 1400,
    peers: peers.map((peer, index) => ({ ...WELL, name: `p${index}`, ...peer })),
  }
}

t.test('nothing is wrong with peers that are up, silent, or not heard yet', async (t) => {
  t.same(whatIsWrong(status({}, { state: 'silent' }, { state: 'new', heard_s: null }), HEALTHY), [])
  t.same(whatIsWrong(status(), HEALTHY), [], 'no peers')
})

t.test('a peer that is down, and one that is not found', async (t) => {
  const report = status(
    {},
    { state: 'down', heard_s: 20 },
    { state: 'new', endpoint: null, trouble: 'no such name', heard_s: null },
  )
  t.same(whatIsWrong(report, HEALTHY), [
    'peer p1 is down: it answers no keepalives, and was last heard 20 s ago',
    'peer p2 is not there: not found yet: no such name',
  ])
})

t.test('a member that was introduced and never met is not down; one that was met may be', async (t) => {
  const introduced = { introduced_by: 'hub', state: 'down' } as const
  t.same(whatIsWrong(status({ ...introduced, heard_s: null }), HEALTHY), [])
  t.match(whatIsWrong(status({ ...introduced, heard_s: 20 }), HEALTHY), [/^peer p0 is down: /])
  t.match(whatIsWrong(status({ ...introduced, introduced_by: null, heard_s: null }), HEALTHY), [
    /^peer p0 is down/,
  ])
})

t.test('an invitation is not down, although somebody came by its line and went', async (t) => {
  t.same(whatIsWrong(status({ source: 'invitation', state: 'down', heard_s: 20 }), HEALTHY), [])
})

t.test('the tunnel itself', async (t) => {
  const report = { ...status({}), listen: 'ppp0:5149', listen_trouble: 'ppp0 has no address' }
  t.same(whatIsWrong(report, { reasons: ['the device tap0 is gone'] }), [
    'the device tap0 is gone',
    'it cannot listen on ppp0:5149: ppp0 has no address',
  ])
})

t.test('networks that no route leads to, unless the device is down anyway', async (t) => {
  const missing_routes = [1, 2, 3, 4, 5, 6].map((it) => `10.${it}.0.0/16`)
  const report = { ...status({}), device: 'tun7', missing_routes }
  t.same(whatIsWrong(report, HEALTHY), [
    'no route leads to tun7 for 10.1.0.0/16, 10.2.0.0/16, 10.3.0.0/16, 10.4.0.0/16, 10.5.0.0/16 and 1 more',
  ])
  t.same(whatIsWrong({ ...report, device_up: false }, { reasons: ['it is down'] }), ['it is down'])
})
