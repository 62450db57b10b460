import ipaddr from 'ipaddr.js'
import type { Endpoint } from '../../linux/sockaddr.js'
import type { WayKind } from './underlay.js'

/**
 * Why a peer's endpoint cannot be somewhere. `inside`: the way there is the tunnel itself; `itself`: this tunnel's
 * own socket is there; `unspecified`: no address, or no port; `untold`: the kernel does not tell the way there.
 */
export type Refusal = 'inside' | 'itself' | 'multicast' | 'broadcast' | 'unspecified' | 'untold'

/** What a place is judged by. */
export interface PlaceFacts {
  readonly endpoint: Endpoint
  /** What the kernel makes of its address. */
  readonly kind: WayKind
  /** What the tunnel's own socket is bound to. */
  readonly listen: Endpoint
}

/** Why no peer can be there; undefined where one can. Nothing else is asked: not what is expected of the peer. */
export function refusalOf({ endpoint, kind, listen }: PlaceFacts): Refusal | undefined {
  const range = rangeOf(endpoint.address)
  if (range === 'unspecified' || endpoint.port === 0) return 'unspecified'
  if (range === 'multicast' || kind === 'multicast') return 'multicast'
  if (range === 'broadcast' || kind === 'broadcast') return 'broadcast'
  if (kind === 'inside') return 'inside'
  return kind === 'own' && hears(listen, endpoint) ? 'itself' : undefined
}

/** Whether what is sent to `own`, an endpoint on this host, comes to a socket bound to `listen`. */
function hears(listen: Endpoint, own: Endpoint): boolean {
  if (listen.port !== own.port) return false
  return rangeOf(listen.address) === 'unspecified' || withoutZone(listen.address) === withoutZone(own.address)
}

/** A zone is a name here and a number there; addresses of one host do not differ by it. */
function withoutZone(address: string): string {
  return ipaddr.parse(address.split('%')[0]).toNormalizedString()
}

/** IPv4 in IPv6's clothes counts as IPv4. */
function rangeOf(address: string): string {
  return ipaddr.process(address.split('%')[0]).range()
}

/** For a person: what such a place is, and what to do about it. */
export function describeRefusal(
  refusal: Refusal,
  device: string | undefined,
): { readonly what: string; readonly advice: string } {
  switch (refusal) {
    case 'inside':
      return {
        what: `reached by ${device ?? 'the device'}, this tunnel itself`,
        advice:
          "let the tunnel's own datagrams go outside it, by an address and a route that are not the tunnel's",
      }
    case 'itself':
      return {
        what: 'where this tunnel itself listens',
        advice: 'give the other end an address or a port of its own',
      }
    case 'untold':
      return { what: 'an address that the kernel tells no way to', advice: 'it is asked again' }
    case 'unspecified':
      return { what: 'no address and port of any host', advice: FORGED }
    default:
      return { what: `a ${refusal} address and not one host's`, advice: FORGED }
  }
}

const FORGED = 'give an address of the host itself, or find out who on the way changes it'
