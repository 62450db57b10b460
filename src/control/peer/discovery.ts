import { lookup } from 'node:dns/promises'
import { isAddress, type Remote } from '../../config/values.js'
import { AF_INET } from '../../linux/constants.js'
import type { Endpoint, SocketFamily } from '../../linux/sockaddr.js'

/**
 * A mechanism that tells where a peer is. The rest knows this alone: another one is a file of its own and a
 * line in {@link discoveryOf}.
 */
export interface Discovery {
  /** Milliseconds after which it is to be asked again; undefined where the answer never changes. */
  readonly refreshMs: number | undefined
  /**
   * Every endpoint that the peer may have now, at least one, the likeliest first.
   * @throws the system's error, with its `code`: EAI_AGAIN where asking again later may help
   */
  locate(): Promise<readonly Endpoint[]>
}

/** How often a name is looked up again though all is well. */
const DNS_REFRESH_MS = 60_000

/** The endpoint is an address, in the settings. */
function staticDiscovery({ host, port }: Remote): Discovery {
  return { refreshMs: undefined, locate: async () => [{ address: host, port }] }
}

/** The endpoint is a name: the system's resolver knows its addresses. */
function dnsDiscovery({ host, port }: Remote, family: SocketFamily): Discovery {
  const options = { all: true, ...(family === AF_INET ? { family: 4 } : {}) } as const
  return {
    refreshMs: DNS_REFRESH_MS,
    locate: async () => (await lookup(host, options)).map(({ address }) => ({ address, port })),
  }
}

export function discoveryOf(endpoint: Remote, family: SocketFamily): Discovery {
  return isAddress(endpoint.host) ? staticDiscovery(endpoint) : dnsDiscovery(endpoint, family)
}

/**
 * Which of a peer's endpoints to send to.
 * @param now the one in use
 * @param silent whether nothing comes from there: the next in turn is tried then
 */
export function chooseEndpoint(
  candidates: readonly Endpoint[],
  now: Endpoint | undefined,
  silent: boolean,
): Endpoint {
  const at = candidates.findIndex((it) => it.address === now?.address && it.port === now.port)
  if (at < 0) return candidates[0]
  return silent ? candidates[(at + 1) % candidates.length] : candidates[at]
}
