import t from 'tap'
import type { PeerStatus } from '../../../src/control/status.js'
import { peerFamilies } from '../../../src/observe/peer-metrics.js'
import { sampleStatus } from '../../support/status-sample.js'

const NOW_S = 1_800_000_000
const [SAMPLE] = sampleStatus().peers

function series(peers: readonly PeerStatus[], name: string) {
  return [...peerFamilies(peers, NOW_S)].find((it) => it.name === `udptun_peer_${name}`)?.samples
}

t.test('each peer has a series, and its name is the first label', async (t) => {
  const peers = [
    { ...SAMPLE, name: 'a', state: 'up' },
    { ...SAMPLE, name: 'b', state: 'down' },
  ] as const
  t.same(series(peers, 'up'), [
    { value: 1, labels: ['a'] },
    { value: 0, labels: ['b'] },
  ])
  t.same(
    series(peers, 'state')?.filter(({ value }) => value === 1),
    [
      { value: 1, labels: ['a', 'up'] },
      { value: 1, labels: ['b', 'down'] },
    ],
  )
  t.equal(series(peers, 'state')?.length, 8, 'a series for each state')
  t.same(series([], 'up'), [], 'no peer, no series')
})

t.test('ages are times, in whole seconds', async (t) => {
  const privacy = { handshake_s: 100.4, preshared_key: true, persistent_keepalive_s: 25 }
  const peer = { ...SAMPLE, name: 'a', heard_s: 0.2, privacy }
  t.same(series([peer], 'last_heard_timestamp_seconds'), [{ value: NOW_S, labels: ['a'] }])
  t.same(series([peer], 'last_handshake_timestamp_seconds'), [{ value: NOW_S - 100, labels: ['a'] }])
  t.same(series([peer], 'persistent_keepalive_seconds'), [{ value: 25, labels: ['a'] }])
})

t.test('what is not known has no series', async (t) => {
  const peer: PeerStatus = {
    ...SAMPLE,
    endpoint: null,
    heard_s: null,
    keepalives: null,
    underlay: null,
    mtu_bytes: null,
    carried_mtu_bytes: null,
    path_mtu: null,
    privacy: null,
    relayed: null,
    datapath: { by: 'kernel', reason: null },
  }
  const absent = [...peerFamilies([peer], NOW_S)]
    .filter(({ samples }) => samples.length === 0)
    .map(({ name }) => name.replace('udptun_peer_', ''))
  t.same(absent.sort(), [
    'carried_mtu_bytes',
    'keepalives',
    'last_handshake_timestamp_seconds',
    'last_heard_timestamp_seconds',
    'mtu_bytes',
    'path_mtu_bytes',
    'path_mtu_confirmed_timestamp_seconds',
    'path_mtu_found_timestamp_seconds',
    'path_mtu_next_search_seconds',
    'persistent_keepalive_seconds',
    'preshared_key',
    'relayed',
    'underlay_mtu_bytes',
    'workers_reason',
  ])
  t.same(series([peer], 'info'), [{ value: 1, labels: [peer.name, '', ''] }])
})
