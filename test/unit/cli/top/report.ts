import type { PeerStatus, StatusReport } from '../../../../src/control/status.js'
import { DROP_REASONS, KERNEL_DROP_REASONS } from '../../../../src/control/status.js'
import { sampleStatus } from '../../../support/status-sample.js'

/** A peer that is up and idle, with some things changed. */
export function peerOf(name: string, changes: Partial<PeerStatus> = {}): PeerStatus {
  return {
    name,
    host: name,
    endpoint: '192.0.2.2:5149',
    trouble: null,
    from: null,
    state: 'up',
    keepalives: true,
    rtt_ms: 0.42,
    heard_s: 1,
    underlay: { interface: 'eth0', mtu_bytes: 1500 },
    mtu_bytes: 1458,
    carried_mtu_bytes: 1458,
    path_mtu: {
      bytes: 1500,
      how: 'acknowledged',
      found_s: 5,
      confirmed_s: 5,
      state: 'complete',
      next_s: 600,
    },
    takes_runs: true,
    datapath: { by: 'kernel', reason: null },
    privacy: null,
    overlay: [],
    introduced_by: null,
    relayed: null,
    source: 'settings',
    outbound: { frames: 0, bytes: 0, dropped: 0 },
    inbound: { frames: 0, bytes: 0, dropped: 0 },
    ...changes,
  }
}

type Changes = Partial<Omit<StatusReport, 'drops'>> & { readonly drops?: Partial<StatusReport['drops']> }

/** The report of an idle tunnel, with some things changed. */
export function reportOf({ drops, ...changes }: Changes = {}): StatusReport {
  const reasons = [...Object.keys(DROP_REASONS), ...Object.keys(KERNEL_DROP_REASONS)]
  const worker = { syscalls: 0, wake_ups: 0, doorbells: 0, ring_full: 0, spread_messages: 0 }
  const ring = { bytes: 1000, used_bytes: 0, high_water_bytes: 240 }
  return {
    ...sampleStatus(),
    version: '0',
    pid: 1,
    device: 'tap0',
    mode: 'tap',
    vni: null,
    uptime_s: 1,
    local: ['10.9.0.1/24'],
    listen: '[::]:5149',
    source_ports: [5149],
    listen_trouble: null,
    peers: [],
    mtu_bytes: 1458,
    mtu_by: 'paths',
    bridge: null,
    tables: [],
    missing_routes: [],
    fwmark: null,
    privacy: null,
    offloads: {} as StatusReport['offloads'],
    super_frames: { read: 0, written: 0 },
    outbound: { frames: 0, bytes: 0 },
    inbound: { frames: 0, bytes: 0 },
    drops: { ...Object.fromEntries(reasons.map((reason) => [reason, 0])), ...drops } as StatusReport['drops'],
    icmp: { unreachable: 0, too_big: 0, other: 0, unread: 0 },
    relay: { datagrams: 0, bytes: 0 },
    path: { fragmented: 0, too_big_answers: 0, mss_clamped: 0 },
    workers: { tap: worker, udp: worker },
    crypto_workers: 0,
    rings: { outbound: ring, inbound: ring },
    faults: { places: {}, log_lines_lost: {} } as StatusReport['faults'],
    ...changes,
  }
}
