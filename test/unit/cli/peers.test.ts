import { stripVTControlCharacters } from 'node:util'
import t from 'tap'
import { complaints, renderPeers } from '../../../src/cli/peers.js'
import type { WorkerReason } from '../../../src/control/datapath/reason.js'
import { peerOf, reportOf } from './top/report.js'

const lines = (report: Parameters<typeof renderPeers>[0]) =>
  stripVTControlCharacters(renderPeers(report)).split('\n')

t.test('a line for each introducer says whom it has introduced', async (t) => {
  const peers = [
    peerOf('hub'),
    peerOf('b', { introduced_by: 'hub' }),
    peerOf('c', { introduced_by: 'hub' }),
    peerOf('d', { introduced_by: 'other' }),
  ]
  t.same(
    lines(reportOf({ peers })).filter((line) => line.startsWith('introduced')),
    ['introduced by hub: b, c', 'introduced by other: d'],
  )
  t.notOk(lines(reportOf({ peers: [peerOf('hub')] })).some((line) => line.includes('introduced')))
})

t.test('a member that has not answered yet is said to be just that', async (t) => {
  const peer = peerOf('b', { introduced_by: 'hub', endpoint: null, state: 'new' })
  t.same(complaints(peer, reportOf({ peers: [peer] })), [
    'hub has introduced it, and it has not answered at any place that is known',
  ])
})

t.test('peers says who is relayed, by whom and why, and who is direct', async (t) => {
  const why = 'no direct path has answered yet'
  const peers = [
    peerOf('hub'),
    peerOf('b', { introduced_by: 'hub' }),
    peerOf('c', { introduced_by: 'hub', endpoint: null, relayed: { by: 'hub', why } }),
    peerOf('d', { introduced_by: 'hub', endpoint: null }),
  ]
  const all = lines(reportOf({ peers }))
  const line = (name: string) => all.find((it) => it.startsWith(`${name} `)) ?? ''
  t.match(line('b'), / direct /)
  t.match(line('c'), / relayed by hub /)
  t.notMatch(line('d'), /direct|relayed/)
  t.ok(all.includes('c is relayed by hub, because no direct path has answered yet'))
  t.same(complaints(peers[2], reportOf({ peers })), [], 'and that is nothing wrong')
  t.notOk(
    lines(reportOf({ peers: [peerOf('hub')] })).some((it) => it.includes('direct')),
    'no column for nothing',
  )
})

t.test('whom this host has invited, and who has not come', async (t) => {
  const peers = [peerOf('alice', { source: 'member' }), peerOf('bob', { source: 'member' }), peerOf('c')]
  t.ok(lines(reportOf({ peers })).includes('invited by this host: alice, bob'))
  const peer = peerOf('dave:AbCdEf', { source: 'invitation', endpoint: null, state: 'new' })
  t.same(complaints(peer, reportOf({ peers: [peer] })), [
    'it is no host, but the line of an invitation; udptun-fast members shows who may still join',
  ])
})

t.test('the workers carry a peer: a complaint only if somebody can mend it', async (t) => {
  const complaintsOf = (reason: WorkerReason, state: 'up' | 'down' = 'up') => {
    const peer = peerOf('b', { state, datapath: { by: 'workers', reason } })
    return complaints(peer, reportOf({ peers: [peer] }))
  }
  for (const reason of [
    'setting',
    'private',
    'netns',
    'relay',
    'mss_clamp',
    'checksum',
    'underlay',
  ] as const) {
    t.same(complaintsOf(reason), [], reason)
    const peer = peerOf('b', { datapath: { by: 'workers', reason } })
    t.notMatch(lines(reportOf({ peers: [peer] }))[0], /carried by/, reason)
  }
  const carried = (why: string) => `the workers carry its frames, because ${why}`
  t.same(complaintsOf('qdisc'), [carried('the device has a queueing discipline')])
  t.match(lines(reportOf({ peers: [peerOf('b')] }))[0], /carried by/)
  const down = 'it answers no keepalives, and was last heard 1 s ago'
  t.same(complaintsOf('private', 'down'), [down], 'which is no reason to be down')
  t.same(complaintsOf('qdisc', 'down'), [down])
  t.same(complaintsOf('forbidden', 'down'), [
    carried('this host refuses to send datagrams to the peer'),
    down,
  ])
})
