import { lookup } from 'node:dns/promises'
import { isAddress, type Remote } from '../../config/values.js'
import { AF_INET } from '../../linux/constants.js'
import type { Endpoint, SocketFamily } from '../../linux/sockaddr.js'

/**
 * A way to find a peer's endpoint. The rest of the program knows only this interface. A new way needs a file of
 * its own and a line in {@link discoveryOf}.
 */
export interface Discovery {
  /** After how many milliseconds to ask again; undefined if the answer never changes. */
  readonly refreshMs: number | undefined
  /**
   * All endpoints that the peer may have now: at least one, the most likely first.
   * @throws the system's error, with its `code`; EAI_AGAIN if it may help to ask again later
   */
  locate(): Promise<readonly Endpoint[]>
}

/** How often a name is looked up again if there is no trouble. */
const DNS_REFRESH_MS = 60_000

/** The settings give an address. */
function staticDiscovery({ host, port }: Remote): Discovery {
  return { refreshMs: undefined, locate: async () => [{ address: host, port }] }
}

/** The settings give a name. The system's resolver finds its addresses. */
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
 * Chooses one of the peer's endpoints to send to.
 * @param now the endpoint in use
 * @param silent whether nothing comes from `now`; the next one in order is chosen then
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
