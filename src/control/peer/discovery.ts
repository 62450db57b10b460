import { isAddress, type Remote } from '../../config/addresses.js'
import { isServiceName } from '../../config/service-name.js'
import { AF_INET } from '../../linux/constants.js'
import type { Endpoint, SocketFamily } from '../../linux/sockaddr.js'
import { isSameEndpoint } from './endpoint.js'
import type { Lookups } from './lookups.js'

/**
 * A way to find a peer's endpoint. The rest of the program knows only this interface. A new way needs a file of
 * its own and a line in {@link discoveryOf}.
 */
export interface Discovery {
  /** After how many milliseconds to ask again; undefined if the answer never changes. */
  readonly refreshMs: number | undefined
  /**
   * All endpoints that the peer may have now: at least one, the most likely first. Calls must not overlap.
   * @throws the system's error, with its `code`; EAI_AGAIN if it may help to ask again later
   */
  locate(): Promise<readonly Endpoint[]>
  /** The answer is of no interest any more. */
  close(): void
}

/** How often a name is looked up again if there is no trouble. */
const DNS_REFRESH_MS = 60_000

/** The settings give an address. */
function staticDiscovery({ host, port }: Remote): Discovery {
  return { refreshMs: undefined, locate: async () => [{ address: host, port }], close: () => {} }
}

/** The settings give a name. The system's resolver finds its addresses. */
function dnsDiscovery({ host, port }: Remote, family: SocketFamily, lookups: Lookups): Discovery {
  const lookup = lookups.open(host, family === AF_INET)
  return {
    refreshMs: DNS_REFRESH_MS,
    locate: async () => (await lookup.find()).map((address) => ({ address, port })),
    close: () => lookup.close(),
  }
}

/** The settings give the name of a service. DNS says which hosts have it, and at which ports (RFC 2782). */
function serviceDiscovery(
  { host }: Remote,
  family: SocketFamily,
  lookups: Lookups,
  random: () => number,
): Discovery {
  const lookup = lookups.openService(host, family === AF_INET, random)
  return { refreshMs: DNS_REFRESH_MS, locate: () => lookup.find(), close: () => lookup.close() }
}

/** @param random from 0 to 1, without 1 */
export function discoveryOf(
  endpoint: Remote,
  family: SocketFamily,
  lookups: Lookups,
  random = Math.random,
): Discovery {
  if (isAddress(endpoint.host)) return staticDiscovery(endpoint)
  return isServiceName(endpoint.host)
    ? serviceDiscovery(endpoint, family, lookups, random)
    : dnsDiscovery(endpoint, family, lookups)
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
  const at = candidates.findIndex((it) => now !== undefined && isSameEndpoint(it, now))
  if (at < 0) return candidates[0]
  return silent ? candidates[(at + 1) % candidates.length] : candidates[at]
}
