import { stripVTControlCharacters } from 'node:util'
import t from 'tap'
import { complaints, renderPeers } from '../../../src/cli/peers.js'
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

t.test('whom this host has invited, and who has not come', async (t) => {
  const peers = [peerOf('alice', { source: 'member' }), peerOf('bob', { source: 'member' }), peerOf('c')]
  t.ok(lines(reportOf({ peers })).includes('invited by this host: alice, bob'))
  const peer = peerOf('dave:AbCdEf', { source: 'invitation', endpoint: null, state: 'new' })
  t.same(complaints(peer, reportOf({ peers: [peer] })), [
    'it is an invitation, and nobody has joined by it yet',
  ])
})
