import type { Endpoint } from '../../src/linux/sockaddr.js'

/** What a control frame of a flood is. All that can be random is. */
export const HACKED_KINDS = ['hello', 'probe', 'ask', 'introduction', 'all'] as const

export type HackedKind = (typeof HACKED_KINDS)[number]

export interface HackedFlood {
  /** The tunnel, in mode tun, and its public key. */
  readonly target: Endpoint
  readonly key: string
  /** Where the flood goes: to the tunnel, or to somewhere else, to see what sending it costs. */
  readonly to: Endpoint
  /** Where this peer is. */
  readonly from: Endpoint
  readonly privateKeyFile: string
  readonly kind: HackedKind
  readonly perSecond: number
  readonly seconds: number
}
