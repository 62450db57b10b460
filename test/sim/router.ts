/** What a simulated router that knows PCP answers. */
const RESPONSE = 0x80
const LIFETIME_S = 1_200

/** A router that makes mappings by PCP (RFC 6887, 7.2 and 11.1), and forgets those that are not renewed. */
export class SimPcpRouter {
  /** When the mapping of each port inside ends, on {@link nowMs}. */
  readonly #endsMs = new Map<number, number>()
  readonly #nowMs: () => number
  /** How many requests have come. */
  requests = 0
  /** The address inside that the last request was for. */
  client: string | undefined

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Whether there is a mapping now. */
  has(port: number): boolean {
    return (this.#endsMs.get(port) ?? 0) > this.#nowMs()
  }

  answer(request: Uint8Array): Uint8Array {
    const bytes = Buffer.from(request)
    const port = bytes.readUInt16BE(40)
    const lifetimeS = Math.min(bytes.readUInt32BE(4), LIFETIME_S)
    this.requests++
    this.client = [...bytes.subarray(20, 24)].join('.')
    this.#endsMs.set(port, this.#nowMs() + lifetimeS * 1000)
    bytes[1] |= RESPONSE
    bytes.writeUInt32BE(lifetimeS, 4)
    bytes.writeUInt32BE(Math.floor(this.#nowMs() / 1000), 8)
    bytes.fill(0, 12, 24)
    bytes.writeUInt16BE(40_000, 42)
    Buffer.from([...new Array(10).fill(0), 0xff, 0xff, 203, 0, 113, 1]).copy(bytes, 44)
    return bytes
  }
}
