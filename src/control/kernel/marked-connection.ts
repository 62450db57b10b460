import { isIP, Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { Endpoint } from '../../linux/sockaddr.js'
import { TcpDial } from '../../linux/tcp.js'
import { systemResolver } from './system-resolver.js'

/** How long all addresses together are tried. etcd/rpc.ts waits for an answer a little longer. */
const WITHIN_MS = 4_000

/** How long is waited between two looks whether it is connected, at first and at the most. */
const LOOK_MS = 1
const MAX_LOOK_MS = 50

/**
 * Connects to a host by TCP, with a mark by which its packets do not go into the tunnel (ip-rule(8)). The addresses of a name are tried one
 * after the other. Its look-up itself has no mark, because getaddrinfo(3) has no way to set one.
 * @param mark 0 for none
 * @throws the reason, of the last address
 */
export async function connectMarked(
  host: string,
  port: number,
  mark: number,
  signal: AbortSignal,
): Promise<Socket> {
  const addresses = isIP(host) !== 0 ? [host] : await systemResolver.lookup(host, false)
  let reason: unknown
  for (const address of addresses) {
    try {
      return await dial({ address, port }, mark, WITHIN_MS / addresses.length, signal)
    } catch (error) {
      signal.throwIfAborted()
      reason = error
    }
  }
  throw reason
}

async function dial(to: Endpoint, mark: number, withinMs: number, signal: AbortSignal): Promise<Socket> {
  const dialled = new TcpDial(to, mark)
  try {
    const endMs = performance.now() + withinMs
    for (let waitMs = LOOK_MS; !dialled.look(); waitMs = Math.min(2 * waitMs, MAX_LOOK_MS)) {
      if (performance.now() > endMs) throw new Error(`${to.address} does not answer`)
      await pause(waitMs, undefined, { signal })
    }
    return new Socket({ fd: dialled.fd, readable: true, writable: true })
  } catch (error) {
    dialled.close()
    throw error
  }
}
