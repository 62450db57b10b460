import ipaddr from 'ipaddr.js'
import type { Endpoint } from '../../linux/sockaddr.js'
import type { WayKind } from './underlay.js'

/**
 * Why a peer cannot be at an endpoint. `inside`: the route to it leads into the tunnel itself. `itself`: this
 * tunnel's own socket is there. `unspecified`: it has no address or no port. `untold`: the kernel does not tell
 * the route to it.
 */
export type Refusal = 'inside' | 'itself' | 'multicast' | 'broadcast' | 'unspecified' | 'untold'

/** The facts that decide about an endpoint. */
export interface PlaceFacts {
  readonly endpoint: Endpoint
  /** What the address is for the kernel. */
  readonly kind: WayKind
  /** The endpoint that the tunnel's own socket is bound to. */
  readonly listen: Endpoint
}

/**
 * Why no peer can be at this endpoint; undefined if one can. It does not check what the settings say of the
 * peer.
 */
export function refusalOf({ endpoint, kind, listen }: PlaceFacts): Refusal | undefined {
  const range = rangeOf(endpoint.address)
  if (range === 'unspecified' || endpoint.port === 0) return 'unspecified'
  if (range === 'multicast' || kind === 'multicast') return 'multicast'
  if (range === 'broadcast' || kind === 'broadcast') return 'broadcast'
  if (kind === 'inside') return 'inside'
  return kind === 'own' && hears(listen, endpoint) ? 'itself' : undefined
}

/** Whether a socket that is bound to `listen` receives what is sent to `own`, an endpoint of this host. */
function hears(listen: Endpoint, own: Endpoint): boolean {
  if (listen.port !== own.port) return false
  return rangeOf(listen.address) === 'unspecified' || withoutZone(listen.address) === withoutZone(own.address)
}

/** The zone is a name in one place and a number in another. Addresses of one host do not differ only by it. */
function withoutZone(address: string): string {
  return ipaddr.parse(address.split('%')[0]).toNormalizedString()
}

/** The kind of address range, by ipaddr.js. An IPv4-mapped IPv6 address counts as IPv4. */
function rangeOf(address: string): string {
  return ipaddr.process(address.split('%')[0]).range()
}

/** Says what the refused endpoint is, and what a person can do about it. */
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
      return { what: 'an address to which the kernel names no route', advice: 'the kernel is asked again' }
    case 'unspecified':
      return { what: 'not an address and port that a host can have', advice: FORGED }
    default:
      return { what: `a ${refusal} address and not that of one host`, advice: FORGED }
  }
}

const FORGED = 'give an address of the host itself, or find out who on the way changes it'
