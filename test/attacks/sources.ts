import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import ipaddr from 'ipaddr.js'
import type { Endpoint } from '../../src/linux/sockaddr.js'

/** Spoofed addresses of one flood at the most. */
const MAX_SOURCES = 65_536
const FIRST_PORT = 20_000
const PORTS = 40_000

/**
 * Where datagrams are to say that they are from: `own`, this host; `many=<prefix>`, each address of it by turns;
 * `spoofed=<address>:<port>`.
 * @throws RangeError for anything else
 */
export async function sourcesOf(text: string, to: Endpoint): Promise<Endpoint[]> {
  const [, how, what] = /^(own|many|spoofed)(?:=(.+))?$/.exec(text) ?? []
  if (how === 'own' && what === undefined) return [await ownEndpoint(to)]
  if (how === 'many' && what !== undefined && ipaddr.IPv4.isValidCIDR(what)) return addressesOf(what)
  const [, address, port] = /^([\d.]+):(\d+)$/.exec(what ?? '') ?? []
  if (how === 'spoofed' && ipaddr.IPv4.isValid(address ?? '')) return [{ address, port: Number(port) }]
  throw new RangeError(`${text} is no source: give own, many=192.0.2.0/24 or spoofed=192.0.2.1:51820`)
}

/** The address that this host sends from to there. */
async function ownEndpoint(to: Endpoint): Promise<Endpoint> {
  const socket = createSocket('udp4')
  socket.connect(to.port, to.address)
  await once(socket, 'connect')
  const { address, port } = socket.address()
  socket.close()
  return { address, port }
}

function addressesOf(prefix: string): Endpoint[] {
  const [, length] = ipaddr.IPv4.parseCIDR(prefix)
  const first = Buffer.from(ipaddr.IPv4.networkAddressFromCIDR(prefix).toByteArray()).readUInt32BE()
  const all = 2 ** (32 - length)
  const count = Math.min(MAX_SOURCES, all < 4 ? all : all - 2)
  return Array.from({ length: count }, (_, index) => {
    const address = Buffer.alloc(4)
    address.writeUInt32BE((first + index + (all < 4 ? 0 : 1)) >>> 0)
    return { address: address.join('.'), port: FIRST_PORT + (index % PORTS) }
  })
}
