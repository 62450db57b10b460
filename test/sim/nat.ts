import type { Endpoint } from '../../src/linux/sockaddr.js'
import type { SimTime } from './clock.js'
import type { SimRandom } from './random.js'

/** What of the other end something depends on. */
export type Dependence = 'endpoint-independent' | 'address' | 'address-and-port'

/** How a NAT behaves, in the words of RFC 4787: sections 4.1 and 5. */
export interface NatBehaviour {
  /** For which other ends a host inside has the same port outside. */
  readonly mapping: Dependence
  /** From whom datagrams to that port are let in: anybody, or those that were spoken to. */
  readonly filtering: Dependence
}

/**
 * Two kinds that Linux has. `cone`: one port outside for each one inside, as `masquerade` while the port is free.
 * `symmetric`: one for each pair of ends, as `masquerade random`.
 */
export const NAT_KINDS = {
  cone: { mapping: 'endpoint-independent', filtering: 'address-and-port' },
  symmetric: { mapping: 'address-and-port', filtering: 'address-and-port' },
} as const satisfies Readonly<Record<string, NatBehaviour>>

export type NatKind = keyof typeof NAT_KINDS

/** How long a mapping lasts without a datagram before an answer, as in Linux. */
const UNANSWERED_MS = 30_000

interface Flow {
  readonly to: Endpoint
  lastMs: number
  answered: boolean
}

interface Mapping {
  readonly inside: Endpoint
  readonly port: number
  /** When each end outside was last spoken to, and whether it has answered. */
  readonly flows: Map<string, Flow>
}

/** A network address translator: many hosts inside, one address outside. */
export class SimNat {
  readonly address: string
  readonly behaviour: NatBehaviour
  /** How long a mapping lasts without a datagram after an answer. The default is Linux's. */
  answeredMs = 120_000
  readonly #time: SimTime
  readonly #random: SimRandom
  readonly #byPort = new Map<number, Mapping>()
  readonly #byInside = new Map<string, Mapping>()

  constructor(time: SimTime, random: SimRandom, address: string, behaviour: NatBehaviour) {
    this.#time = time
    this.#random = random
    this.address = address
    this.behaviour = behaviour
  }

  /** A datagram goes out from inside: where it seems to come from. */
  outbound(inside: Endpoint, to: Endpoint): Endpoint {
    const key = `${textOf(inside)} ${partOf(to, this.behaviour.mapping)}`
    let mapping = this.#byInside.get(key)
    if (mapping === undefined || !this.#isAlive(mapping)) {
      mapping = { inside, port: this.#freePort(inside.port), flows: new Map() }
      this.#byInside.set(key, mapping)
      this.#byPort.set(mapping.port, mapping)
    }
    const flow = mapping.flows.get(textOf(to))
    mapping.flows.set(textOf(to), {
      to,
      lastMs: this.#time.nowMs,
      answered: flow?.answered ?? false,
    })
    return { address: this.address, port: mapping.port }
  }

  /** A datagram comes from outside to `port`: who inside gets it, undefined if nobody does. */
  inbound(port: number, from: Endpoint): Endpoint | undefined {
    const mapping = this.#byPort.get(port)
    if (mapping === undefined) return undefined
    const { filtering } = this.behaviour
    const flow = [...mapping.flows.values()].find(
      (it) => this.#isFresh(it) && partOf(it.to, filtering) === partOf(from, filtering),
    )
    if (flow === undefined) return undefined
    // An answer of another end does not make this flow an answered one.
    if (textOf(flow.to) === textOf(from)) flow.answered = true
    flow.lastMs = this.#time.nowMs
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

  #isFresh({ lastMs, answered }: Flow): boolean {
    return this.#time.nowMs - lastMs < (answered ? this.answeredMs : UNANSWERED_MS)
  }

  #freePort(wanted: number): number {
    const isFree = (port: number) => {
      const mapping = this.#byPort.get(port)
      return mapping === undefined || !this.#isAlive(mapping)
    }
    // Who needs several ports for one inside has nothing to keep.
    if (this.behaviour.mapping === 'endpoint-independent' && isFree(wanted)) return wanted
    for (;;) {
      const port = this.#random.between(1024, 65_536)
      if (isFree(port)) return port
    }
  }
}

function textOf({ address, port }: Endpoint): string {
  return `${address} ${port}`
}

/** What of an end matters. */
function partOf(end: Endpoint, dependence: Dependence): string {
  if (dependence === 'endpoint-independent') return ''
  return dependence === 'address' ? end.address : textOf(end)
}
