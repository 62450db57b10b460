/** What a UDP datagram has at both ends. */
export interface UdpFlow {
  /** Addresses: 4 bytes each, or 16 bytes each. */
  readonly source: Uint8Array
  readonly destination: Uint8Array
  readonly sourcePort: number
  readonly destinationPort: number
}

/** The flow of the answers. */
export function answersTo({ source, destination, sourcePort, destinationPort }: UdpFlow): UdpFlow {
  return {
    source: destination,
    destination: source,
    sourcePort: destinationPort,
    destinationPort: sourcePort,
  }
}
