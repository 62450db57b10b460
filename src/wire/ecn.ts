/**
 * Explicit Congestion Notification of IP in a tunnel (RFC 3168, RFC 6040). It is the two low bits of the DS field, the
 * second byte of an IPv4 header, and of IPv6's traffic class (RFC 2474). The DSCP is above them.
 */
export const ECN = { notEct: 0, ect1: 1, ect0: 2, ce: 3 } as const

export const ECN_MASK = 3

/** Bits of the DS field that an outer header takes from the packet in it. @param tos whether that is the DSCP, too */
export function outerDsMask(tos: 'off' | 'inherit'): number {
  return tos === 'inherit' ? 0xff : ECN_MASK
}

/** What {@link innerEcn} returns if the packet must be dropped. */
export const CONGESTED = -1

/**
 * The inner packet's ECN after decapsulation (RFC 6040, 4.2, figure 4). A mark of a router is carried in. If the packet's
 * sender does not know ECN, a loss is the only way to tell it: then the result is {@link CONGESTED}.
 *
 * The ECN of the outer header is the inner one's at encapsulation (normal mode, 4.1).
 */
export function innerEcn(inner: number, outer: number): number {
  if (outer === ECN.ce) return inner === ECN.notEct ? CONGESTED : ECN.ce
  return outer === ECN.ect1 && inner === ECN.ect0 ? ECN.ect1 : inner
}

/** Whether there are inner packets that {@link innerEcn} changes or drops because of the outer DS field. */
export function marksInner(outer: number): boolean {
  return (outer & ECN.ect1) !== 0
}
