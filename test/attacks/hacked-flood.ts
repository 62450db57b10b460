import type { Endpoint } from '../../src/linux/sockaddr.js'

/**
 * What a control frame of a flood is. All that can be random is. `relay`: to be relayed, to nobody who is there and to another
 * member in turn. `all`: each of the others in turn.
 */
export const HACKED_KINDS = ['hello', 'probe', 'ask', 'introduction', 'relay', 'all'] as const

export type HackedKind = (typeof HACKED_KINDS)[number]

export interface HackedFlood {
  /** The tunnel, in mode tun, and its public key. */
  readonly target: Endpoint
  readonly key: string
  /** The public key of another member. */
  readonly member: string
  /** Where the flood goes: to the tunnel, or to somewhere else, to see what sending it costs. */
  readonly to: Endpoint
  /** Where this peer is. */
  readonly from: Endpoint
  readonly privateKeyFile: string
  readonly kind: HackedKind
  readonly perSecond: number
  readonly seconds: number
}
