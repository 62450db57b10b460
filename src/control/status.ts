import type { LinkStatistics } from '../linux/interface.js'
import { COUNTERS, type CounterName } from '../memory/counters.js'
import type { DeviceMode } from '../wire/mode.js'
import type { FaultStatus } from './faults.js'
import type { OffloadStatus } from './offload.js'
import type { PathMtuStatus } from './path-mtu/path-mtu.js'
import type { PeerState } from './peer/liveness.js'
import type { PrivacyStatus } from './private/private-side.js'

/** Why something was dropped: who counts it, and what to say of it to a person. */
export const DROP_REASONS = {
  send_buffer_full: ['dropSendBufferFull', "the socket's send buffer stayed full"],
  too_big: ['dropTooBig', 'longer than the underlay interface takes'],
  unreachable: ['dropUnreachable', 'no way to the remote'],
  forbidden: ['dropForbidden', 'a firewall of this host forbids it'],
  send_failed: ['dropSendFailed', 'the kernel refused to send it'],
  foreign: ['dropForeign', 'from somebody else than the remote'],
  over_path: ['dropOverPath', 'longer than the path to the peer carries'],
  empty: ['dropEmpty', 'a datagram without content'],
  runt: ['dropRunt', 'shorter than an Ethernet header'],
  oversize: ['dropOversize', 'longer than any frame of this network'],
  not_ip: ['dropNotIp', 'not an IP packet'],
  device_down: ['dropDeviceDown', 'the device was down'],
  storm: ['dropStorm', 'more broadcasts than the limit allows'],
  not_allowed: ['dropNotAllowed', "from an address that is not the peer's"],
  no_route: ['dropNoRoute', "for an address that is no peer's"],
  filtered: ['filtered', 'for a host behind a peer, where it has been sent by itself'],
  malformed: ['dropMalformed', 'a super-frame of the device that makes no sense'],
  control_full: ['dropControlFull', 'more control frames than this program can keep up with'],
  control_malformed: ['dropControlMalformed', 'a control frame that makes no sense to this version'],
  control_local: ['dropControlLocal', 'a control frame from this host, where only this program may send any'],
  no_keypair: ['dropNoKeypair', 'no handshake with the other host yet, so no key to seal it with'],
  unknown_index: ['dropUnknownIndex', 'sealed with keys that this host does not have (any more)'],
  not_authentic: ['dropNotAuthentic', 'forged, or damaged on the way'],
  replayed: ['dropReplayed', 'seen before, or far too late'],
  not_private: ['dropNotPrivate', "no message of a private tunnel's protocol"],
  wrong_mac1: ['dropWrongMac1', "a handshake from somebody who does not know this host's public key"],
  handshake_unasked: ['dropUnasked', 'an answer to a handshake that this host has not begun, or has ended'],
  handshakes_full: ['dropHandshakesFull', 'more handshakes than this program can keep up with'],
  handshake_unknown_peer: ['dropUnknownPeer', 'a handshake from a host that is no peer'],
  handshake_refused: ['dropHandshakeRefused', 'a handshake that is forged, repeated, or came too often'],
  handshake_misplaced: [
    'dropHandshakeMisplaced',
    'a handshake from where no peer can be, such as an address inside the tunnel',
  ],
  handshake_cookie: ['dropCookie', 'handshakes that were answered with a cookie, there being very many'],
  device_refused: ['dropDeviceRefused', 'the device refused the frame'],
} as const satisfies Record<string, readonly [CounterName, string]>

/**
 * Drops that the kernel counts, before a frame reaches this program or after. It counts its own buffers: a
 * super-frame, or a run of datagrams for a socket with `UDP_GRO`, is one. Of what the underlay drops it does not
 * say whose it was: other programs' is counted, too, and frames of this one count as sent all the same.
 */
export const KERNEL_DROP_REASONS = {
  device_queue_full: "the device's queue was full, the worker not fast enough",
  device_receive: "the host's own network stack dropped it",
  underlay_queue_full: 'an interface to a peer, or its queue, dropped it, whoever had sent it',
  socket_buffer_full: "the socket's receive buffer was full, the worker not fast enough",
} as const

export type DropReason = keyof typeof DROP_REASONS | keyof typeof KERNEL_DROP_REASONS

export interface WorkerStatus {
  readonly syscalls: number
  /** Times it came back from a poll. */
  readonly wake_ups: number
  /** Times it woke the other worker. */
  readonly doorbells: number
  /** Times its ring was full, so that it left its fd alone for a while. */
  readonly ring_full: number
}

export interface RingStatus {
  readonly bytes: number
  readonly used_bytes: number
  readonly high_water_bytes: number
}

/** One of the other hosts. Counts are since it became a peer. */
export interface PeerStatus {
  readonly name: string
  readonly host: string
  /** Null until it has been found. */
  readonly endpoint: string | null
  readonly state: PeerState
  /** Whether it answers keepalives; null while that is not known. */
  readonly keepalives: boolean | null
  /** Seconds since something came from it; null when nothing has. */
  readonly heard_s: number | null
  /** How datagrams leave for it; a null interface is no route. */
  readonly underlay: { readonly interface: string | null; readonly mtu_bytes: number } | null
  /** The MTU that the device may have for its sake. */
  readonly mtu_bytes: number | null
  /** The same, as far as its path carries it in whole datagrams, whatever the settings say. */
  readonly carried_mtu_bytes: number | null
  /** What the path carries, as MTUs of the underlay count; null while there is none. */
  readonly path_mtu: PathMtuStatus | null
  /** Whether many datagrams to it are sent in one call (`UDP_SEGMENT`), unless that is off for all. */
  readonly takes_runs: boolean
  /** Null where the tunnel is not private. */
  readonly privacy: PrivacyStatus | null
  /** Its overlay addresses and prefixes, as far as the settings say. */
  readonly overlay: readonly string[]
  readonly outbound: PeerTraffic
  readonly inbound: PeerTraffic
}

export interface PeerTraffic {
  readonly frames: number
  readonly bytes: number
  /** Frames, for the reasons that the tunnel's drops have. */
  readonly dropped: number
}

/** What `udptun-fast status` shows. Counts are since the start. */
export interface StatusReport {
  readonly version: string
  readonly pid: number
  readonly device: string
  readonly mode: DeviceMode
  readonly uptime_s: number
  readonly local: readonly string[]
  readonly listen: string
  readonly peers: readonly PeerStatus[]
  readonly mtu_bytes: number
  /** What a private tunnel is sealed with, and this host's public key; null where it is not private. */
  readonly privacy: { readonly crypto: string; readonly public_key: string } | null
  /** Which of the kernel's offloads are in use. */
  readonly offloads: OffloadStatus
  /** Super-frames from the device and to it; each stands for many frames. */
  readonly super_frames: { readonly read: number; readonly written: number }
  /** Frames (in tun mode: packets) from the device to the remote, what the underlay's queue dropped included. */
  readonly outbound: { readonly frames: number; readonly bytes: number }
  /** Frames from the remote to the device. */
  readonly inbound: { readonly frames: number; readonly bytes: number }
  readonly drops: Readonly<Record<DropReason, number>>
  /** ICMP errors about what was sent, as far as they are heard; `unread` came faster than they are looked at. */
  readonly icmp: {
    readonly unreachable: number
    readonly too_big: number
    readonly other: number
    readonly unread: number
  }
  readonly path: {
    /** Frames sent in datagrams that may be fragmented, the path being too narrow for IPv6 inside. */
    readonly fragmented: number
    /** Frames too long for the path that were answered with ICMP. */
    readonly too_big_answers: number
    /** TCP connections' SYNs whose MSS was lowered. */
    readonly mss_clamped: number
  }
  readonly workers: { readonly tap: WorkerStatus; readonly udp: WorkerStatus }
  readonly rings: { readonly outbound: RingStatus; readonly inbound: RingStatus }
  /** Errors of this program's own that it has gone on after. */
  readonly faults: FaultStatus
}

export type Counts = Readonly<Record<CounterName, number>>

/** One worker's counters by name, and those of several added up. */
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
  }
}

/**
 * @param kernel the device's statistics, where it has any: what this program failed to read in time is its
 * tx; its rx counts again what the device did not take from this program
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
