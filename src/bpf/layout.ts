/**
 * What the programs and main share: keys and values of the maps. Numbers are in the host's byte order (the programs
 * run on little-endian processors only), and addresses and ports are as they are on the wire.
 *
 * An element of a map may be given to another key while a program reads it. So each value carries its key, and a
 * program compares that after it has copied what it needs.
 */

export interface Layout {
  readonly keyBytes: number
  readonly valueBytes: number
}

/**
 * Where a MAC is. Key: the six bytes of the MAC, and two zeros. Value: one 64-bit word, so that it is read at once:
 * the MAC, and the port above it. Then when a frame from there was last seen, in ns of `CLOCK_MONOTONIC`.
 */
export const MAC_ENTRY = { keyBytes: 8, valueBytes: 16, port: 6, seenNs: 8 } as const

/** Ports of a {@link MAC_ENTRY}: a peer's row, and this bit if the configuration put the MAC there. */
export const PORT_PINNED = 0x8000
/** And this bit if the kernel carries the peer. */
export const PORT_CARRIED = 0x2000
/** This host's side. */
export const PORT_DEVICE = 0x4000

/**
 * Whose an overlay address is, in mode tun: the longest prefix counts, as in memory/routes.ts. Key: the prefix's length
 * in bits, and the address. Value: one 32-bit word, so that it is read at once: the row, and {@link PREFIX_CARRIED}. An
 * element is not given to another key while a program reads it, because the kernel waits for all readers.
 */
export const PREFIX_ENTRY = { keyBytes4: 8, keyBytes6: 20, address: 4, valueBytes: 4 } as const
/** The kernel carries the peer. Of other peers the maps have only whose the sources are. */
export const PREFIX_CARRIED = 0x1_0000

/** An outer header that main has prepared: IPv6 and UDP are the longest. */
const OUTER_BYTES = 48

/** `struct bpf_redir_neigh` (<linux/bpf.h>) has 20, and maps have values of whole words of 64 bits. */
const NEXT_HOP_BYTES = 24

/**
 * How to reach a peer. Key: its row. Value: the row again; {@link PEER_FLAGS}; the interface on the underlay; the
 * longest frame that the path carries, in bytes; the sum of the outer IPv4 header's words without its length; the
 * outer header, without lengths and checksums; the next hop (`struct bpf_redir_neigh`): its family, and its address.
 */
export const PEER_ENTRY = {
  keyBytes: 4,
  valueBytes: 24 + OUTER_BYTES + NEXT_HOP_BYTES,
  row: 0,
  flags: 4,
  ifindex: 8,
  longestFrameBytes: 12,
  headerSum: 16,
  outer: 24,
  nextHop: 24 + OUTER_BYTES,
} as const

export const PEER_FLAGS = { ipv6: 1 } as const

/**
 * Who sends from an address. Key: source and destination address (IPv4: four bytes, and zeros), the interface, the
 * source port, and two zeros. With VXLAN the source port is 0, because it may be any. Value: the key again, and the row.
 */
export const SOURCE_ENTRY = {
  keyBytes: 40,
  valueBytes: 48,
  source: 0,
  destination: 16,
  ifindex: 32,
  port: 36,
  row: 40,
} as const

/**
 * What each processor counts by row, as 64-bit numbers: frames and their bytes, out and in; frames of a peer whose
 * source is not its own; frames for another peer; when something came last, in ns of `CLOCK_MONOTONIC`; frames that
 * were marked as congested, and whose sender knows no ECN; and with VXLAN, when a frame was last left to the workers
 * although a program could have carried it, out and in ({@link TRIAL_NS}).
 */
export const COUNTS = {
  keyBytes: 4,
  valueBytes: 80,
  outFrames: 0,
  outBytes: 8,
  inFrames: 16,
  inBytes: 24,
  notAllowed: 32,
  filtered: 40,
  heardNs: 48,
  congested: 56,
  outTrialNs: 64,
  inTrialNs: 72,
} as const

/**
 * No end of a VXLAN network answers probes. So that main sees whether netfilter lets a peer's datagrams pass, each
 * processor leaves one frame to the workers after so many ns, in each direction.
 */
export const TRIAL_NS = 2_000_000_000

/**
 * What the receiving program tells main: a MAC, and the row of the peer behind which it was seen. With
 * {@link NEWS_PROBE} it is a probe's source, else a MAC that the maps do not have there.
 */
export const NEWS = { keyBytes: 0, valueBytes: 8, row: 6 } as const
export const NEWS_PROBE = 0x8000

/** The maps of a tunnel, by their file descriptors. */
export interface MapFds {
  readonly macs: number
  readonly prefixes4: number
  readonly prefixes6: number
  readonly peers: number
  readonly sources: number
  readonly counts: number
  readonly news: number
}
