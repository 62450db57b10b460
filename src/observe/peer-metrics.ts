import { PEER_STATES } from '../control/peer/liveness.js'
import type { PeerStatus } from '../control/status.js'
import { counter, type Family, gauge, oneOf, type Reading } from './family.js'

const CARRIERS = ['kernel', 'workers'] as const

/**
 * What is known of each peer. A series ends when its peer is removed. Each metric is made when it is asked for, because
 * with many peers each takes a while.
 * @param nowS the calendar's time since 1970, in seconds
 */
export function* peerFamilies(peers: readonly PeerStatus[], nowS: number): Generator<Family> {
  /** The readings of all peers, with the peer's name as the first label. */
  const each = (read: (peer: PeerStatus) => Reading): Reading[] =>
    peers.map((peer) => {
      const [value, ...labels] = read(peer)
      return [value, peer.name, ...labels]
    })
  const several = (read: (peer: PeerStatus) => readonly Reading[]): Reading[] =>
    peers.flatMap((peer) => read(peer).map(([value, ...labels]): Reading => [value, peer.name, ...labels]))
  const timeOf = (ageS: number | null | undefined) =>
    ageS === null || ageS === undefined ? null : Math.round(nowS - ageS)
  yield gauge(
    'peer_info',
    'Where a peer is: its endpoint on the underlay, and the interface by which it is reached.',
    'peer endpoint interface',
    each(({ endpoint, underlay }) => [1, endpoint ?? '', underlay?.interface ?? '']),
  )
  yield gauge(
    'peer_up',
    'Whether a peer was heard lately.',
    'peer',
    each(({ state }) => [state === 'up']),
  )
  yield gauge(
    'peer_state',
    'The state of a peer: 1 for the one that it is in.',
    'peer state',
    several(({ state }) => oneOf(PEER_STATES, state)),
  )
  yield gauge(
    'peer_relayed',
    'The introducer that relays what is for a peer. Absent if the peer is reached directly.',
    'peer by',
    each(({ relayed }) => [relayed === null ? null : 1, relayed?.by ?? '']),
  )
  yield gauge(
    'peer_trouble',
    'Whether a peer is not found, or is not where its name says.',
    'peer',
    each(({ trouble }) => [trouble !== null]),
  )
  yield gauge(
    'peer_keepalives',
    'Whether a peer answers keepalives. Absent while that is not known.',
    'peer',
    each(({ keepalives }) => [keepalives]),
  )
  yield gauge(
    'peer_rtt_seconds',
    'How long a keepalive takes to a peer and back, smoothed; or its last answer to a renewal of the keys. Absent while neither is known.',
    'peer',
    each(({ rtt_ms }) => [rtt_ms === null ? null : rtt_ms / 1000]),
  )
  yield gauge(
    'peer_last_heard_timestamp_seconds',
    'When something last came from a peer. Absent if nothing has.',
    'peer',
    each(({ heard_s }) => [timeOf(heard_s)]),
  )
  yield gauge(
    'peer_last_handshake_timestamp_seconds',
    'When the keys in use with a peer were made. Absent if there are none.',
    'peer',
    each(({ privacy }) => [timeOf(privacy?.handshake_s)]),
  )
  yield gauge(
    'peer_preshared_key',
    'Whether a peer has a preshared key. Absent if the tunnel is not private.',
    'peer',
    each(({ privacy }) => [privacy?.preshared_key]),
  )
  yield gauge(
    'peer_persistent_keepalive_seconds',
    'After how long a silence a keepalive is sent to a peer. Absent if none is.',
    'peer',
    each(({ privacy }) => [privacy?.persistent_keepalive_s]),
  )
  yield counter(
    'peer_receive_frames',
    'Frames from a peer.',
    'peer',
    each(({ inbound }) => [inbound.frames]),
  )
  yield counter(
    'peer_receive_bytes',
    'Bytes of the frames from a peer.',
    'peer',
    each(({ inbound }) => [inbound.bytes]),
  )
  yield counter(
    'peer_transmit_frames',
    'Frames to a peer.',
    'peer',
    each(({ outbound }) => [outbound.frames]),
  )
  yield counter(
    'peer_transmit_bytes',
    'Bytes of the frames to a peer.',
    'peer',
    each(({ outbound }) => [outbound.bytes]),
  )
  yield counter(
    'peer_drops',
    'Dropped frames to a peer (transmit) and from it (receive).',
    'peer direction',
    several(({ inbound, outbound }) => [
      [inbound.dropped, 'receive'],
      [outbound.dropped, 'transmit'],
    ]),
  )
  yield gauge(
    'peer_underlay_mtu_bytes',
    'The MTU of the interface by which a peer is reached. Absent if it is not found.',
    'peer',
    each(({ underlay }) => [underlay?.mtu_bytes]),
  )
  yield gauge(
    'peer_path_mtu_bytes',
    'The longest IP packet that the path to a peer carries. Absent if there is no path.',
    'peer',
    each(({ path_mtu }) => [path_mtu?.bytes]),
  )
  yield gauge(
    'peer_path_mtu_found_timestamp_seconds',
    'When the path MTU was found. Absent while it is assumed.',
    'peer',
    each(({ path_mtu }) => [timeOf(path_mtu?.found_s)]),
  )
  yield gauge(
    'peer_path_mtu_confirmed_timestamp_seconds',
    'When a packet of that size was last acknowledged. Absent if none was.',
    'peer',
    each(({ path_mtu }) => [timeOf(path_mtu?.confirmed_s)]),
  )
  yield gauge(
    'peer_path_mtu_next_search_seconds',
    'How long it takes until the path MTU is looked for again.',
    'peer',
    each(({ path_mtu }) => [path_mtu?.next_s]),
  )
  yield gauge(
    'peer_mtu_bytes',
    "The greatest MTU that a peer allows for the tunnel's device. Absent if it is not found.",
    'peer',
    each(({ mtu_bytes }) => [mtu_bytes]),
  )
  yield gauge(
    'peer_carried_mtu_bytes',
    'The greatest packet inside the tunnel that reaches a peer unfragmented. Absent if it is not found.',
    'peer',
    each(({ carried_mtu_bytes }) => [carried_mtu_bytes]),
  )
  yield gauge(
    'peer_udp_segment',
    'Whether many datagrams to a peer are sent in one system call.',
    'peer',
    each(({ takes_runs }) => [takes_runs]),
  )
  yield gauge(
    'peer_datapath',
    'What carries the known frames of a peer: 1 for the one that does.',
    'peer datapath',
    several(({ datapath }) => oneOf(CARRIERS, datapath.by)),
  )
  yield gauge(
    'peer_workers_reason',
    "Why the workers carry a peer, and not the kernel's datapath. Absent if the kernel does.",
    'peer reason',
    each(({ datapath }) => [datapath.reason === null ? null : 1, datapath.reason ?? '']),
  )
}
