/** What one direction between two hosts does to datagrams. */
export interface Way {
  /** False: everything is lost, and nobody says so. */
  up: boolean
  delayMs: number
  /** Up to so much more, at random: so datagrams overtake each other. */
  jitterMs: number
  /** Probabilities that a datagram is lost, and that it comes twice. */
  loss: number
  duplication: number
  /** Of the narrowest link between, in bytes of an IP packet. */
  mtuBytes: number
  /** Whether the router before the narrow link says so by ICMP. */
  icmp: boolean
  /** False: fragments are lost, and nobody says so, as at a firewall that must see ports. */
  fragments: boolean
}

export const GOOD_WAY: Way = {
  up: true,
  delayMs: 5,
  jitterMs: 0,
  loss: 0,
  duplication: 0,
  mtuBytes: 1500,
  icmp: true,
  fragments: true,
}
