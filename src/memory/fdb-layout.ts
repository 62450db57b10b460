/**
 * The layout of the forwarding database (fdb.ts), and how many entries it has. In this order:
 * - a cache line of words: lock, second, counts, changes, twin;
 * - a cache line with the hash's multipliers;
 * - a word for each port: the number of its entries;
 * - a word for each block: the number of entries taken in it;
 * - the buckets;
 * - a word for each entry about its moves.
 *
 * A bucket is a cache line of four entries. Two hashes give each address two buckets. A new address goes into
 * the emptier one. So a look-up reads at most two lines, however full the table is, and clearing an entry
 * removes it. All ports together have a third of all entries at most. At that load both buckets are hardly ever
 * full. The multipliers are random, so that nobody can choose addresses that collide.
 *
 * An entry is four words:
 * - the MAC's low 32 bits;
 * - its high 16 bits, with the VLAN above them;
 * - the port and a version;
 * - the second when it was last seen, or {@link PINNED}.
 */

/** Entries that a port may have. So no peer can push out what was learnt from another. */
export const PORT_LIMIT = 1024

/**
 * With more peers than {@link FULL_PEERS}, not each can have so many at the same time: the table would be longer, and each
 * look-up slower. Then each has a part of {@link SHARES} that nobody else can take. What a port has beyond that comes from
 * a pool of {@link POOL} entries.
 */
const FULL_PEERS = 256
const SHARES = 128 * 1024
export const POOL = 192 * 1024

/** How many entries each port can have whatever others have. @param peers a power of two */
export function shareOf(peers: number): number {
  return peers <= FULL_PEERS ? PORT_LIMIT : Math.ceil(SHARES / peers)
}

export const BUCKET_WORDS = 16
const BUCKET_ENTRIES = 4
export const ENTRY_WORDS = 4
export const LOW = 0
export const HIGH = 1
export const PORT = 2
export const SEEN = 3

/**
 * An entry's port word: the port in the low bits, the version above it. The port is stored relative to
 * {@link FLOOD}, so that 0 is nobody.
 */
const PORT_BITS = 14
export const PORT_MASK = (1 << PORT_BITS) - 1
export const VERSION_ONE = 1 << PORT_BITS

/** Stored instead of a second: the configuration pinned the entry. */
export const PINNED = 0x7fffffff

/**
 * The word about moves: in the low bits the number of moves, or that the entry is held. Above them, since which
 * second.
 */
export const MOVES_BITS = 8
export const MOVES_MASK = (1 << MOVES_BITS) - 1
export const HELD = MOVES_MASK
export const SINCE_MASK = 0xffffff

/** Entries of a block. A block without taken entries is skipped. */
export const BLOCK_ENTRIES = 1024

export const HEADER_WORDS = 32
export const LOCK = 0
export const SECOND = 1
export const COUNTED = 2
export const CHANGES = 9
/** The last peer that sent with a MAC pinned to the device: its index and one. */
export const TWIN = 10
/** How many entries all ports have beyond their shares; and how many entries are of a VLAN. */
export const BEYOND = 11
export const TAGGED = 12
export const MULTIPLIERS = 16

/** A power of two. At least three entries for each one that the ports may have. */
export function bucketsFor(peers: number): number {
  const share = shareOf(peers)
  const entries = (peers + 1) * share + (share < PORT_LIMIT ? POOL : 0)
  return 2 ** Math.ceil(Math.log2((entries * 3) / BUCKET_ENTRIES))
}

export function portWords(peers: number): number {
  return (peers + 2 + 15) & -16
}

export function blocksOf(buckets: number): number {
  return (buckets * BUCKET_ENTRIES) / BLOCK_ENTRIES
}

export function blockWords(buckets: number): number {
  return (blocksOf(buckets) + 15) & -16
}

/** Bytes of a database for `peers` peers and the device. Only memory in use is ever touched. */
export function fdbBytes(peers: number): number {
  const buckets = bucketsFor(peers)
  return (
    4 * (HEADER_WORDS + portWords(peers) + blockWords(buckets) + buckets * (BUCKET_WORDS + BUCKET_ENTRIES))
  )
}
