import type { Endpoint } from '../../linux/sockaddr.js'

export function isSameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.address === b.address && a.port === b.port
}
