import { FAULT_PLACES } from '../control/faults.js'
import type { Health } from '../control/health.js'
import type { RingStatus, StatusReport, WorkerStatus } from '../control/status.js'
import { byKey, counter, type Family, gauge, type Reading } from './family.js'

const WORKERS = ['tap', 'udp'] as const
/** Each place has a series from the start, so that a first fault is seen as an increase. */
const NO_FAULTS = Object.fromEntries(Object.keys(FAULT_PLACES).map((place) => [place, 0]))

const RINGS = ['outbound', 'inbound'] as const

/**
 * What is known of the tunnel as a whole.
 * @param startS when it started, in seconds since 1970; given, so that it is the same in all answers
 */
export function tunnelFamilies(report: StatusReport, health: Health, startS: number): Family[] {
  return [
    gauge('build_info', 'The version of this program, and of Node.js.', 'version node', [
      [1, report.version, process.versions.node],
    ]),
    gauge('info', 'The device of the tunnel, what it carries, and where it listens.', 'device mode listen', [
      [1, report.device, report.mode, report.listen],
    ]),
    gauge('vxlan_vni', 'The number of the VXLAN network, if it is one.', '', [[report.vni]]),
    gauge('up', 'Whether the tunnel works: as /healthz says.', '', [[health.healthy]]),
    gauge('device_up', 'Whether the device is set up.', '', [[report.device_up]]),
    gauge('listen_up', 'Whether there is an address to listen on.', '', [[report.listen_trouble === null]]),
    gauge('start_time_seconds', 'When the tunnel started.', '', [[startS]]),
    gauge('private', 'Whether the tunnel is private.', '', [[report.privacy !== null]]),
    gauge('crypto_info', 'What seals the messages of a private tunnel.', 'crypto', [
      [report.privacy === null ? null : 1, report.privacy?.crypto ?? ''],
    ]),
    gauge('peers', 'How many peers there are.', '', [[report.peers.length]]),
    gauge('mtu_bytes', 'The MTU of the device.', '', [[report.mtu_bytes]]),
    gauge(
      'mtu_rule_info',
      'What decides on the MTU of the device, and the bridge that it is a port of.',
      'rule bridge',
      [[1, report.mtu_by, report.bridge ?? '']],
    ),
    gauge(
      'route_table',
      'The tables that have routes of this program to the peers: 1 for each.',
      'table',
      report.tables.map((table) => [1, String(table)]),
    ),
    gauge('fwmark', 'The mark of all that the tunnel sends on the underlay. Absent if there is none.', '', [
      [report.fwmark],
    ]),
    ...trafficFamilies(report),
    ...workerFamilies(report, health),
    counter(
      'faults',
      'Errors of this program itself that did not stop it.',
      'place',
      byKey({ ...NO_FAULTS, ...report.faults.places }),
    ),
    counter(
      'log_lines_lost',
      'Lines of the log that were lost.',
      'reason',
      byKey(report.faults.log_lines_lost),
    ),
    ...fdbFamilies(report),
    ...discoveryFamilies(report),
  ]
}

/** The peer source, if there is one. */
function discoveryFamilies({ discovery }: StatusReport): Family[] {
  if (discovery === null) return []
  const { source, state, since_s, requests, members, refused } = discovery
  const of = (readings: readonly Reading[]): Reading[] =>
    readings.map(([value, ...labels]) => [value, source, ...labels])
  return [
    gauge('discovery_up', 'Whether the source of peers answers.', 'source', [
      [state === 'connected', source],
    ]),
    gauge('discovery_state_seconds', 'How long it has answered, or has been away.', 'source', [
      [since_s, source],
    ]),
    gauge(
      'discovery_members',
      'Members that it knows, and those for whom something stands in it.',
      'source state',
      of(byKey(members)),
    ),
    counter('discovery_refused', 'Values in it that were refused.', 'source reason', of(byKey(refused))),
    counter('discovery_requests', 'Requests to it.', 'source', [[requests, source]]),
  ]
}

function trafficFamilies({
  inbound,
  outbound,
  super_frames,
  drops,
  icmp,
  relay,
  path,
  offloads,
}: StatusReport): Family[] {
  return [
    counter('receive_frames', 'Frames from the peers to the device.', '', [[inbound.frames]]),
    counter('receive_bytes', 'Bytes of the frames from the peers to the device.', '', [[inbound.bytes]]),
    counter('transmit_frames', 'Frames from the device to the peers.', '', [[outbound.frames]]),
    counter('transmit_bytes', 'Bytes of the frames from the device to the peers.', '', [[outbound.bytes]]),
    counter('receive_super_frames', 'Super-frames written to the device.', '', [[super_frames.written]]),
    counter('transmit_super_frames', 'Super-frames read from the device.', '', [[super_frames.read]]),
    counter('drops', 'Dropped frames.', 'reason', byKey(drops)),
    counter('icmp_errors', 'ICMP errors about what was sent.', 'type', byKey(icmp)),
    counter('relayed_datagrams', 'Datagrams of one member for another that this host has relayed.', '', [
      [relay.datagrams],
    ]),
    counter('relayed_bytes', 'Bytes of those datagrams, without the headers of the relay.', '', [
      [relay.bytes],
    ]),
    counter('fragmented_frames', 'Frames sent in fragments, because they are too long for the path.', '', [
      [path.fragmented],
    ]),
    counter('too_big_answers', 'Frames too long for the path that were answered with ICMP.', '', [
      [path.too_big_answers],
    ]),
    counter('mss_clamped', 'TCP SYNs whose MSS was lowered.', '', [[path.mss_clamped]]),
    gauge('offload', 'Which offloads of the kernel are in use.', 'offload', byKey(offloads)),
  ]
}

function workerFamilies({ workers, crypto_workers, rings }: StatusReport, health: Health): Family[] {
  const eachWorker = (read: (worker: WorkerStatus) => number): Reading[] =>
    WORKERS.map((name) => [read(workers[name]), name])
  const eachRing = (read: (ring: RingStatus) => number): Reading[] =>
    RINGS.map((name) => [read(rings[name]), name])
  return [
    gauge('worker_up', 'Whether a worker has turned when it was rung for.', 'worker', byKey(health.workers)),
    counter(
      'worker_syscalls',
      'System calls of a worker.',
      'worker',
      eachWorker((it) => it.syscalls),
    ),
    counter(
      'worker_wakeups',
      'How often a worker returned from a poll.',
      'worker',
      eachWorker((it) => it.wake_ups),
    ),
    counter(
      'worker_doorbells',
      'How often a worker woke the other one.',
      'worker',
      eachWorker((it) => it.doorbells),
    ),
    counter(
      'worker_ring_full',
      'How often the ring of a worker was full, so that it did not read for a while.',
      'worker',
      eachWorker((it) => it.ring_full),
    ),
    counter(
      'worker_spread_messages',
      'Messages that crypto workers may have helped to seal or to open.',
      'worker',
      eachWorker((it) => it.spread_messages),
    ),
    gauge('crypto_workers', 'Threads that help to seal and to open.', '', [[crypto_workers]]),
    gauge(
      'ring_size_bytes',
      'The size of a ring.',
      'ring',
      eachRing((it) => it.bytes),
    ),
    gauge(
      'ring_used_bytes',
      'How much of a ring is in use.',
      'ring',
      eachRing((it) => it.used_bytes),
    ),
    gauge(
      'ring_high_water_bytes',
      'How much of a ring was in use at the most.',
      'ring',
      eachRing((it) => it.high_water_bytes),
    ),
  ]
}

/** Mode tun has no forwarding database, and so no series. */
function fdbFamilies({ fdb }: StatusReport): Family[] {
  if (fdb === null) return []
  return [
    gauge('fdb_entries', 'MAC addresses that are known.', '', [[fdb.entries]]),
    counter('fdb_learnt', 'MAC addresses that were learnt.', '', [[fdb.learnt]]),
    counter('fdb_moved', 'Moves of a MAC address to another port.', '', [[fdb.moved]]),
    counter('fdb_damped', 'Moves that were not followed, because there were too many.', '', [[fdb.damped]]),
    counter('fdb_full', 'How often a MAC address was not learnt, because its port has too many.', '', [
      [fdb.full],
    ]),
  ]
}
