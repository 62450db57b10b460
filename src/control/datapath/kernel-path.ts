import type { Route } from '../../memory/prefixes.js'

/** A peer's place, as the kernel's own datapath must know it. */
export interface KernelWay {
  /** The interface on the underlay. If it is made anew, it has another number. */
  readonly interface: string
  readonly ifindex: number
  /** The next router; undefined if there is none. */
  readonly gateway: string | undefined
  /** Addresses, without a zone. */
  readonly source: string
  readonly destination: string
  readonly destinationPort: number
  /** The longest frame that the path carries in one datagram. */
  readonly longestFrameBytes: number
}

/** What the kernel's own datapath has carried for one peer since it was opened. */
export interface KernelCounts {
  readonly outFrames: number
  readonly outBytes: number
  readonly inFrames: number
  readonly inBytes: number
  /** Dropped: from an address that is not the peer's; for a host behind another peer; marked as congested (RFC 6040). */
  readonly notAllowed: number
  readonly filtered: number
  readonly congested: number
}

/** A MAC that was seen behind a peer, where the datapath does not have it; or the source of a probe. */
export interface KernelNews {
  readonly mac: Uint8Array
  readonly row: number
  readonly probe: boolean
}

/** What else is known of a MAC: that the configuration says where it is; that frames for it may go by the kernel. */
export interface MacFlags {
  readonly pinned?: boolean
  readonly carried?: boolean
}

/**
 * The kernel's own datapath (src/bpf): programs that carry frames for known MACs to known peers. Nothing here waits.
 * All methods may throw a KernelError.
 */
export interface KernelPath {
  /** There is room only for peers in rows below this one. */
  readonly rows: number
  /** Why the device's frames must go through the workers now; undefined if nothing is in the way. */
  readonly hindrance: string | undefined
  /** @returns whether an IPsec policy of this host, as it is now, is for a way, or for its answers */
  policies(): (way: KernelWay) => boolean
  /** Whether netfilter changes addresses or ports of a way, or of its answers. It is too dear for each look. */
  isTranslated(way: KernelWay): boolean
  /** Whether programs run where frames leave the device. */
  carry(on: boolean): void
  /** Where a MAC is: at a peer's row, or at the device. @returns false if there is no room for one more */
  setMac(mac: Uint8Array, port: number, of: MacFlags): boolean
  removeMac(mac: Uint8Array): void
  /**
   * Whose a prefix is, in mode tun. @param carried whether frames for it may go by the kernel
   * @returns false if there is no room for one more
   */
  setPrefix(route: Route, carried: boolean): boolean
  removePrefix(route: Omit<Route, 'row'>): void
  /** Seconds since a frame from there was seen; undefined if none was. */
  seenS(mac: Uint8Array): number | undefined
  /**
   * Frames for the peer may go this way. @param takes whether those that come from there are taken, too
   * @returns false if the interface is gone, or is no Ethernet
   */
  setPeer(row: number, way: KernelWay, takes: boolean): boolean
  removePeer(row: number): void
  counts(row: number): KernelCounts
  /** Takes what has come since the last call. */
  news(): readonly KernelNews[]
  /** Sends a probe to a peer, by the device. @param token six bytes by which its answer names it: a MAC in mode tap */
  probe(row: number, token: Uint8Array): void
  close(): void
}
