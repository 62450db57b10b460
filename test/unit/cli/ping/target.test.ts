import t from 'tap'
import { pingTarget } from '../../../../src/cli/ping/target.js'
import type { PeerStatus } from '../../../../src/control/status.js'
import { peerOf } from '../top/report.js'

const OFFICE = peerOf('office', { host: 'office.example', endpoint: '198.51.100.3:7000' })
const BRANCH = peerOf('branch', {
  endpoint: '[2001:db8::4]:5149',
  overlay: ['10.9.0.4', '10.9.4.0/24', 'fd00:9::4/128'],
})

const report = (peers: readonly PeerStatus[], isPrivateTun = false) => ({
  device: 'tun0',
  mode: isPrivateTun ? ('tun' as const) : ('tap' as const),
  privacy: isPrivateTun ? { crypto: '', public_key: null } : null,
  peers,
})
const found = (asked: string | undefined, ...peers: PeerStatus[]) =>
  pingTarget(report(peers), asked).peer.name

t.test('a peer is found by its name, host, endpoint, address, or an address inside', async (t) => {
  for (const asked of ['office', 'office.example', '198.51.100.3:7000', '198.51.100.3'])
    t.equal(found(asked, BRANCH, OFFICE), 'office', asked)
  for (const asked of ['branch', '[2001:db8::4]:5149', '2001:db8::4', '10.9.0.4', '10.9.4.77', 'fd00:9::4'])
    t.equal(found(asked, OFFICE, BRANCH), 'branch', asked)
  t.equal(
    found('10.9.4.77', peerOf('all', { overlay: ['0.0.0.0/0'] }), BRANCH),
    'branch',
    'the longest prefix',
  )
  t.equal(found(undefined, OFFICE), 'office', 'the only one')
})

t.test('an unknown peer: the nearest name, or all of them', async (t) => {
  t.throws(() => found('ofice', OFFICE, BRANCH), {
    message: 'tun0 has no peer "ofice"; the nearest is "office"',
    exitCode: 1,
  })
  t.throws(() => found('10.8.0.1', OFFICE, BRANCH), {
    message: 'tun0 has no peer "10.8.0.1"; its peers are office, branch',
  })
  t.throws(() => found(undefined, OFFICE, BRANCH), {
    message: 'tun0 has several peers (office, branch); name one, such as: udptun-fast ping office',
    exitCode: 2,
  })
  t.throws(() => found(undefined), { message: 'tun0 has no peer' })
  const many = Array.from({ length: 20 }, (_, index) => peerOf(`site-number-${index}`))
  t.throws(() => found('x', ...many), { message: /site-number-7 and 12 more$/ })
})

t.test('who answers keepalives is asked by one, and others by ICMP, if an address is known', async (t) => {
  const icmpTo = (changes: Partial<PeerStatus>, isPrivateTun = true, asked?: string) =>
    pingTarget(report([peerOf('b', changes)], isPrivateTun), asked).icmpTo
  const overlay = ['10.9.9.0/24', '10.9.0.2/32']
  t.equal(icmpTo({ keepalives: true, overlay }), undefined)
  t.equal(icmpTo({ keepalives: false, overlay }), '10.9.0.2')
  t.equal(icmpTo({ keepalives: null, overlay }), '10.9.0.2', 'any WireGuard peer may be there')
  t.equal(icmpTo({ keepalives: null, overlay }, false), undefined, 'only udptun-fast may be there')
  t.equal(icmpTo({ keepalives: null, overlay: ['10.9.9.0/24'] }), undefined)
  t.equal(icmpTo({ keepalives: false, overlay: ['fd00::2/128'] }), 'fd00::2')
  t.equal(icmpTo({ keepalives: false, overlay }, true, '10.9.9.7'), '10.9.9.7', 'the one that was asked for')
  t.throws(() => icmpTo({ keepalives: false, overlay: ['10.9.9.0/24', 'fd00::/64'] }), {
    message: /^b answers no keepalives, and no overlay address of it is known; name one/,
  })
})
