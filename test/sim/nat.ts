import type { Endpoint } from '../../src/linux/sockaddr.js'
import type { SimTime } from './clock.js'
import type { SimRandom } from './random.js'

/**
 * How a NAT chooses the port outside. `cone`: one for each port inside, whomever that speaks to, as Linux's
 * `masquerade` does while the port is free. `symmetric`: one for each pair of ends, as `masquerade random` does.
 */
export type NatKind = 'cone' | 'symmetric'

/** How long a mapping lasts without a datagram before an answer, as in Linux. */
const UNANSWERED_MS = 30_000

interface Mapping {
  readonly inside: Endpoint
  readonly port: number
  /** When each end outside was last spoken to, and whether it has answered. */
  readonly flows: Map<string, { lastMs: number; answered: boolean }>
}

/** A network address translator: many hosts inside, one address outside. It lets in only what was asked for. */
export class SimNat {
  readonly address: string
  readonly kind: NatKind
  /** How long a mapping lasts without a datagram after an answer. The default is Linux's. */
  answeredMs = 120_000
  readonly #time: SimTime
  readonly #random: SimRandom
  readonly #byPort = new Map<number, Mapping>()
  readonly #byInside = new Map<string, Mapping>()

  constructor(time: SimTime, random: SimRandom, address: string, kind: NatKind) {
    this.#time = time
    this.#random = random
    this.address = address
    this.kind = kind
  }

  /** A datagram goes out from inside: where it seems to come from. */
  outbound(inside: Endpoint, to: Endpoint): Endpoint {
    const key = this.kind === 'cone' ? textOf(inside) : `${textOf(inside)} ${textOf(to)}`
    let mapping = this.#byInside.get(key)
    if (mapping === undefined || !this.#isAlive(mapping)) {
      mapping = { inside, port: this.#freePort(inside.port), flows: new Map() }
      this.#byInside.set(key, mapping)
      this.#byPort.set(mapping.port, mapping)
    }
    const flow = mapping.flows.get(textOf(to))
    mapping.flows.set(textOf(to), { lastMs: this.#time.nowMs, answered: flow?.answered ?? false })
    return { address: this.address, port: mapping.port }
  }

  /** A datagram comes from outside to `port`: who inside gets it, undefined if nobody does. */
  inbound(port: number, from: Endpoint): Endpoint | undefined {
    const mapping = this.#byPort.get(port)
    const flow = mapping?.flows.get(textOf(from))
    if (mapping === undefined || flow === undefined || !this.#isFresh(flow)) return undefined
    flow.lastMs = this.#time.nowMs
    flow.answered = true
    return mapping.inside
  }

  /** It restarts: it has forgotten everything. */
  forget(): void {
    this.#byPort.clear()
    this.#byInside.clear()
  }

  #isAlive(mapping: Mapping): boolean {
    return [...mapping.flows.values()].some((flow) => this.#isFresh(flow))
  }

  #isFresh({ lastMs, answered }: { lastMs: number; answered: boolean }): boolean {
    return this.#time.nowMs - lastMs < (answered ? this.answeredMs : UNANSWERED_MS)
  }

  #freePort(wanted: number): number {
    const isFree = (port: number) => {
      const mapping = this.#byPort.get(port)
      return mapping === undefined || !this.#isAlive(mapping)
    }
    if (this.kind === 'cone' && isFree(wanted)) return wanted
    for (;;) {
      const port = this.#random.between(1024, 65_536)
      if (isFree(port)) return port
    }
  }
}

function textOf({ address, port }: Endpoint): string {
  return `${address} ${port}`
}
