/**
 * Sends the given UDP datagrams one after the other; long ones go in fragments. The argument is a
 * {@link Datagrams} in JSON.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Host } from '../../../src/lab/host.js'
import type { Endpoint } from '../../../src/linux/sockaddr.js'
import { ok } from './lab.js'

interface Datagrams {
  readonly from: Endpoint
  readonly to: Endpoint
  /** In base64. */
  readonly payloads: readonly string[]
}

/** Sends `payloads` from a socket of `host`. */
export async function sendDatagrams(
  host: Host,
  from: Endpoint,
  to: Endpoint,
  payloads: readonly Buffer[],
): Promise<void> {
  const datagrams: Datagrams = { from, to, payloads: payloads.map((it) => it.toString('base64')) }
  await ok(host, process.execPath, fileURLToPath(import.meta.url), JSON.stringify(datagrams))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { from, to, payloads }: Datagrams = JSON.parse(process.argv[2])
  const socket = createSocket(from.address.includes(':') ? 'udp6' : 'udp4')
  socket.bind(from.port, from.address)
  await once(socket, 'listening')
  for (const payload of payloads) {
    await new Promise((resolve) => socket.send(Buffer.from(payload, 'base64'), to.port, to.address, resolve))
  }
  socket.close()
}
