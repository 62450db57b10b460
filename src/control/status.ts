import type { LinkStatistics } from '../linux/interface.js'
import { COUNTERS, type CounterName } from '../memory/counters.js'
import type { DeviceMode } from '../wire/mode.js'
import type { FdbSummary } from './addresses.js'
import type { WorkerReason } from './datapath/reason.js'
import type { MtuRule } from './device-mtu.js'
import type { SourceStatus } from './discovery/source.js'
import type { FaultStatus } from './faults.js'
import type { PortMappingStatus } from './mesh/mapping.js'
import type { OffloadStatus } from './offload.js'
import type { PathMtuStatus } from './path-mtu/path-mtu.js'
import type { PeerState } from './peer/liveness.js'
import type { PrivacyStatus } from './private/private-side.js'

/**
 * The number of the form of the JSON that `status` and `peers` print. It rises when a field goes, or means something
 * else. New fields may come without. The form itself is in docs/status.schema.json.
 */
export const STATUS_SCHEMA = 1

/** Why something was dropped: its counter, and a text for a person. */
export const DROP_REASONS = {
  send_buffer_full: ['dropSendBufferFull', "the socket's send buffer stayed full"],
  too_big: ['dropTooBig', 'longer than the underlay interface takes'],
  unreachable: ['dropUnreachable', 'no way to the peer'],
  forbidden: ['dropForbidden', 'a firewall of this host forbids it'],
  send_failed: ['dropSendFailed', 'the kernel refused to send it'],
  foreign: ['dropForeign', 'from a sender that is no peer'],
  over_path: ['dropOverPath', 'longer than the path to the peer carries'],
  empty: ['dropEmpty', 'a datagram without content'],
  runt: ['dropRunt', 'shorter than an Ethernet header'],
  oversize: ['dropOversize', 'longer than any frame of this network'],
  not_ip: ['dropNotIp', 'not an IP packet'],
  checksum: ['dropChecksum', 'with a wrong checksum, from a peer whose kernel may have left it out'],
  vni: ['dropVni', 'of another VXLAN network (VNI), or not VXLAN at all'],
  congested: [
    'dropCongested',
    'marked by a router as congested, and its sender knows no ECN, so only a loss tells it (RFC 6040)',
  ],
  device_down: ['dropDeviceDown', 'the device was down'],
  storm: ['dropStorm', 'more broadcasts than the limit allows'],
  not_allowed: ['dropNotAllowed', "from an address that is not the peer's"],
  access_denied: ['dropAccessDenied', 'that allow does not let in'],
  no_route: ['dropNoRoute', "for an address that is no peer's"],
  filtered: [
    'filtered',
    'its destination is where it comes from, behind another peer that gets it directly, or in mode tun multicast that nobody routes',
  ],
  malformed: ['dropMalformed', 'a super-frame from the device with a header that makes no sense'],
  control_full: [
    'dropControlFull',
    'more control frames than this program can keep up with, or too many keepalives from one peer',
  ],
  control_malformed: ['dropControlMalformed', 'a control frame that makes no sense to this version'],
  control_local: [
    'dropControlLocal',
    'a control frame that came from the device, but only this program may send any',
  ],
  introduction_unasked: [
    'dropIntroductionUnasked',
    'an introduction by a peer that is no introducer, or a question for some that this host does not answer',
  ],
  introduction_refused: [
    'dropIntroductionRefused',
    'an introduction, or a record that a member gives of itself, that this host does not believe; the log says why',
  ],
  relay_unasked: [
    'dropRelayUnasked',
    'a relayed datagram from a peer that is no introducer, or one that this host does not relay',
  ],
  relay_unknown: [
    'dropRelayUnknown',
    'a datagram to be relayed to a host, or from one, that is not known here',
  ],
  relay_share: ['dropRelayShare', 'more to be relayed for one member than its share (relay_limit)'],
  join_refused: [
    'dropJoinRefused',
    'a host that wants to join and may not, because its line is used, expired or withdrawn, or it has none',
  ],
  no_keypair: ['dropNoKeypair', 'no handshake with the other host yet, so no key to seal it with'],
  unknown_index: ['dropUnknownIndex', 'sealed with keys that this host does not have (any more)'],
  not_authentic: ['dropNotAuthentic', 'forged, or damaged on the way'],
  replayed: ['dropReplayed', 'seen before, or far too late'],
  not_private: ['dropNotPrivate', "not a message of a private tunnel's protocol"],
  wrong_mac1: ['dropWrongMac1', "a handshake from somebody who does not know this host's public key"],
  handshake_unasked: ['dropUnasked', 'an answer to a handshake that this host has not begun, or has ended'],
  handshakes_full: ['dropHandshakesFull', 'more handshakes than this program can keep up with'],
  handshake_unknown_peer: ['dropUnknownPeer', 'a handshake from a host that is no peer'],
  handshake_refused: ['dropHandshakeRefused', 'a handshake that is forged, repeated, or came too often'],
  handshake_misplaced: [
    'dropHandshakeMisplaced',
    'a handshake from an address where no peer can be, such as one inside the tunnel',
  ],
  handshake_cookie: [
    'dropCookie',
    'handshakes that were answered with a cookie, because there were very many',
  ],
  device_refused: ['dropDeviceRefused', 'the device refused the frame'],
} as const satisfies Record<string, readonly [CounterName, string]>

/**
 * Drops that the kernel counts, before a frame reaches this program or after. The kernel counts its own
 * buffers: a super-frame, or a run of datagrams for a socket with `UDP_GRO`, counts as one. For the underlay,
 * the kernel does not say whose datagram it dropped. So drops of other programs are counted, too. Frames of
 * this program still count as sent.
 */
export const KERNEL_DROP_REASONS = {
  device_queue_full: "the device's queue was full, because the worker was not fast enough",
  device_receive: "the host's own network stack dropped it",
  underlay_queue_full:
    'an interface to a peer, or its queue, dropped it; packets of other programs count, too',
  socket_buffer_full: "the socket's receive buffer was full, because the worker was not fast enough",
} as const

export type DropReason = keyof typeof DROP_REASONS | keyof typeof KERNEL_DROP_REASONS

export interface WorkerStatus {
  readonly syscalls: number
  /** How often it returned from a poll. */
  readonly wake_ups: number
  /** How often it woke the other worker. */
  readonly doorbells: number
  /** How often its ring was full, so that it did not read its fd for a while. */
  readonly ring_full: number
  /** Messages that crypto workers may have helped to seal or to open. */
  readonly spread_messages: number
}

export interface RingStatus {
  readonly bytes: number
  readonly used_bytes: number
  readonly high_water_bytes: number
}

export type PeerSource = 'settings' | 'member' | 'invitation' | 'introduction'

/** Whether a peer is a host. The other ones only wait for somebody with the line of an invitation. */
export function isHost({ source }: { readonly source: PeerSource }): boolean {
  return source !== 'invitation'
}

/** One peer. The counts are since it became a peer. */
export interface PeerStatus {
  readonly name: string
  readonly host: string
  /** Null until it has been found, and while an introducer relays what is for it. */
  readonly endpoint: string | null
  /** Why it has not been found, or is not where its name says; null if nothing is wrong. */
  readonly trouble: string | null
  /**
   * The address of this host that it speaks to, and is answered from; null if the kernel would choose the same one, or
   * none is known.
   */
  readonly from: string | null
  readonly state: PeerState
  /** Whether it answers keepalives; null while that is not known. */
  readonly keepalives: boolean | null
  /**
   * How many milliseconds a keepalive takes to it and back, smoothed; of an end that answers none, how long its last
   * answer to a renewal of the keys took, its arithmetic included. Null while neither is known.
   */
  readonly rtt_ms: number | null
  /** Seconds since something came from it; null if nothing has. */
  readonly heard_s: number | null
  /** How datagrams to it leave. The interface is null if there is no route. */
  readonly underlay: { readonly interface: string | null; readonly mtu_bytes: number } | null
  /** The greatest MTU that this peer allows for the device. */
  readonly mtu_bytes: number | null
  /** The overlay MTU that the path carries in unfragmented datagrams, whatever MTU the settings ask for. */
  readonly carried_mtu_bytes: number | null
  /** What the path carries, as an MTU of the underlay; null while there is no path. */
  readonly path_mtu: PathMtuStatus | null
  /** Whether many datagrams to it are sent in one call (`UDP_SEGMENT`), if that is not off for all peers. */
  readonly takes_runs: boolean
  /** Who carries its known frames; and why it is the workers. */
  readonly datapath: { readonly by: 'kernel' | 'workers'; readonly reason: WorkerReason | null }
  /** Null if the tunnel is not private. */
  readonly privacy: PrivacyStatus | null
  /** The overlay addresses and prefixes that the settings give to it, or its introduction. */
  readonly overlay: readonly string[]
  /** The peer that has introduced it; null if it is in the settings. */
  readonly introduced_by: string | null
  /** The introducer that relays what is for it, and why it does; null if it is reached directly, or not at all. */
  readonly relayed: { readonly by: string; readonly why: string } | null
  /**
   * Who has made it a peer: a person, in the settings; this host, which has invited it; an invitation, of which nobody has
   * come yet; another host, which has introduced it.
   */
  readonly source: PeerSource
  readonly outbound: PeerTraffic
  readonly inbound: PeerTraffic
}

export interface PeerTraffic {
  readonly frames: number
  readonly bytes: number
  /** Frames that were dropped, for the same reasons as the tunnel's drops. */
  readonly dropped: number
}

/** What `udptun-fast status` shows. The counts are since the start. */
export interface StatusReport {
  readonly schema: typeof STATUS_SCHEMA
  readonly version: string
  readonly pid: number
  readonly device: string
  /** The network namespace that the device is in, by its name or path; null if it is that of the sockets. */
  readonly netns: string | null
  /** Whether somebody has set the device up. */
  readonly device_up: boolean
  readonly mode: DeviceMode
  /** The number of the VXLAN network; null if the encapsulation is another. */
  readonly vni: number | null
  readonly uptime_s: number
  readonly local: readonly string[]
  /** Where it listens or, while that is not there, where it is to listen. */
  readonly listen: string
  /** The ports that the program sends frames from: the one where it listens, or those of several sockets (VXLAN). */
  readonly source_ports: readonly number[]
  /** Why nothing is sent or received there; null if nothing is wrong. */
  readonly listen_trouble: string | null
  readonly peers: readonly PeerStatus[]
  readonly mtu_bytes: number
  /** What decides on the device's MTU. */
  readonly mtu_by: MtuRule
  /** The bridge that the device is a port of; null if there is none. */
  readonly bridge: string | null
  /** The tables with routes to the peers that this program has made, by their numbers, the least first. */
  readonly tables: readonly number[]
  /** The networks of peers whose packets the kernel does not send by the device; none are looked for with another `--table`. */
  readonly missing_routes: readonly string[]
  /** The mark of all that the tunnel sends on the underlay; null if there is none. */
  readonly fwmark: number | null
  /** The mapping that a router is asked for; null if none is. */
  readonly port_mapping: PortMappingStatus | null
  /** The peer source that the settings name, such as an etcd; null if there is none. */
  readonly discovery: SourceStatus | null
  /** What a private tunnel is sealed with, and this host's public key; null if the tunnel is not private. */
  readonly privacy: { readonly crypto: string; readonly public_key: string | null } | null
  /** Which of the kernel's offloads are in use. */
  readonly offloads: OffloadStatus
  /** Super-frames read from the device and written to it. Each stands for many frames. */
  readonly super_frames: { readonly read: number; readonly written: number }
  /**
   * Frames (in tun mode: packets) from the device to the peers. Includes those that the underlay's queue
   * dropped.
   */
  readonly outbound: { readonly frames: number; readonly bytes: number }
  /** Frames from the peers to the device. */
  readonly inbound: { readonly frames: number; readonly bytes: number }
  readonly drops: Readonly<Record<DropReason, number>>
  /** The forwarding database, and what was learnt since the start; null in tun mode. */
  readonly fdb: FdbSummary | null
  /**
   * ICMP errors about what was sent, as far as we receive them. `unread` errors came faster than they were
   * read.
   */
  readonly icmp: {
    readonly unreachable: number
    readonly too_big: number
    readonly other: number
    readonly unread: number
  }
  /** What this host has relayed as an introducer: datagrams of one member for another, without their headers. */
  readonly relay: { readonly datagrams: number; readonly bytes: number }
  readonly path: {
    /** Frames sent in datagrams that may be fragmented, because they are too long for the path. */
    readonly fragmented: number
    /** Frames too long for the path that were answered with ICMP. */
    readonly too_big_answers: number
    /** SYNs of TCP connections whose MSS was lowered. */
    readonly mss_clamped: number
  }
  readonly workers: { readonly tap: WorkerStatus; readonly udp: WorkerStatus }
  /** Threads that help to seal and to open. */
  readonly crypto_workers: number
  readonly rings: { readonly outbound: RingStatus; readonly inbound: RingStatus }
  /** Errors of this program itself that did not stop it. */
  readonly faults: FaultStatus
}

export type Counts = Readonly<Record<CounterName, number>>

/** The counters by name, of one worker or the sum of several. */
export function sumCounters(...blocks: readonly Float64Array[]): Counts {
  const sum = (index: number) => blocks.reduce((total, block) => total + block[index], 0)
  return Object.fromEntries(COUNTERS.map((name, index) => [name, sum(index)])) as unknown as Counts
}

export function workerStatus(counts: Counts): WorkerStatus {
  return {
    syscalls: counts.syscalls + counts.doorbells,
    wake_ups: counts.wakeUps,
    doorbells: counts.doorbells,
    ring_full: counts.ringFull,
    spread_messages: counts.spreadMessages,
  }
}

/**
 * @param kernel the device's statistics, if there are any. Its tx drops are what this program did not read in
 *   time. Its rx drops count again what the device did not take from this program.
 */
export function dropsOf(
  counts: Counts,
  kernel: {
    readonly link: LinkStatistics | undefined
    readonly socketDrops: number
    readonly underlayDrops: number
  },
): Record<DropReason, number> {
  const own = Object.entries(DROP_REASONS).map(([reason, [counter]]) => [reason, counts[counter]])
  return {
    ...(Object.fromEntries(own) as Record<keyof typeof DROP_REASONS, number>),
    device_queue_full: kernel.link?.txDropped ?? 0,
    device_receive: Math.max(
      0,
      (kernel.link?.rxDropped ?? 0) - counts.dropDeviceDown - counts.dropDeviceRefused,
    ),
    underlay_queue_full: kernel.underlayDrops,
    socket_buffer_full: kernel.socketDrops,
  }
}
