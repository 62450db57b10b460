import { readFileSync, statSync } from 'node:fs'
import { listSockets } from '../../../src/command/path.js'
import type { Host } from '../../../src/lab/host.js'

/** The clock of file systems is behind by up to a tick of the kernel. */
const TICK_MS = 10

/**
 * What a tunnel may leave in a host of `twoHosts`: devices other than the host's own two, and status sockets. A socket
 * that is older than the host is of a killed tunnel in another namespace that had the same inode.
 */
export function leftIn(host: Host): string[] {
  return host.run(() => {
    const devices = readFileSync('/proc/thread-self/net/dev', 'utf8').matchAll(/^ *([^ :]+):/gm)
    const own = new Set(['lo', 'eth0'])
    return [
      ...[...devices].map(([, name]) => name).filter((name) => !own.has(name)),
      ...listSockets()
        .map(({ path }) => path)
        .filter((path) => statSync(path).mtimeMs >= host.madeMs - TICK_MS),
    ]
  })
}
