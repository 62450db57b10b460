import { readFileSync } from 'node:fs'
import { listSockets } from '../../../src/command/path.js'
import type { Host } from '../../../src/lab/host.js'

/**
 * What a tunnel may leave in a host of `twoHosts`: devices other than the host's own two, and status sockets.
 */
export function leftIn(host: Host): string[] {
  return host.run(() => {
    const devices = readFileSync('/proc/thread-self/net/dev', 'utf8').matchAll(/^ *([^ :]+):/gm)
    const own = new Set(['lo', 'eth0'])
    return [
      ...[...devices].map(([, name]) => name).filter((name) => !own.has(name)),
      ...listSockets().map(({ path }) => path),
    ]
  })
}
