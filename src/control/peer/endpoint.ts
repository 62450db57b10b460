import type { Endpoint } from '../../linux/sockaddr.js'

/** `192.0.2.1:5149` or `[2001:db8::1]:5149`. */
export function formatEndpoint({ address, port }: Endpoint): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
