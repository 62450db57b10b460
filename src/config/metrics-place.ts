import { formatEndpoint, isAddress, parsePort, splitPort } from './addresses.js'

/** Where metrics and health are served: at a TCP port, or at a Unix socket. */
export type MetricsPlace =
  | { readonly address: string; readonly port: number }
  /** An absolute path. */
  | { readonly path: string }

/** Nobody else on the network reaches it. */
const LOOPBACK = '127.0.0.1'

/** The kernel takes 107 (unix(7)). The rest is room for a temporary name in the same directory. */
const MAX_PATH_BYTES = 99

/**
 * `9149`, `198.51.100.1:9149`, `[::1]:9149`, `/run/udptun-fast/metrics.sock`; port 0 is a free one.
 * @throws RangeError with the rest of a sentence that starts with the name of the setting
 */
export function parseMetrics(text: string): MetricsPlace {
  if (text.startsWith('/')) {
    const bytes = Buffer.byteLength(text)
    if (bytes > MAX_PATH_BYTES || text.includes('\0') || text.endsWith('/'))
      throw new RangeError(
        `"${text}" is not the path of a socket; write a path of a file, of at most ${MAX_PATH_BYTES} bytes`,
      )
    return { path: text }
  }
  if (/^\d+$/.test(text)) return { address: LOOPBACK, port: parsePort(text, 0) }
  const { host, port } = splitPort(text)
  if (port === undefined || !isAddress(host)) {
    throw new RangeError(
      `"${text}" is not a place for metrics; write a port, an address and a port, or the path of a socket, such as 9149, [::1]:9149 or /run/udptun-fast/metrics.sock`,
    )
  }
  return { address: host, port: parsePort(port, 0) }
}

/** As {@link parseMetrics} reads it. */
export function formatMetrics(place: MetricsPlace): string {
  return 'path' in place ? place.path : formatEndpoint(place)
}
