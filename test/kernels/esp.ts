import assert from 'node:assert/strict'
import { ETHERNET, ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4 } from '../../src/wire/ethernet.js'
import { PacketSocket } from '../support/hosts/packet-socket.js'
import { type Both, tcpWhole } from './tunnels.js'

const BYTES = 512 * 1024

const IPPROTO_ESP = 50

/** All ESP that has passed a device, in order, as hexadecimal digits: what the host has sent, and what came to it. */
function espOf(socket: PacketSocket): { sent: string[]; came: string[] } {
  const all = { sent: [] as string[], came: [] as string[] }
  for (let it = socket.receive(); it !== undefined; it = socket.receive()) {
    const isIpv4 = it.bytes.readUInt16BE(ETHERNET.type) === ETHERTYPE_IPV4
    if (isIpv4 && it.bytes[ETHERNET_HEADER_BYTES + 9] === IPPROTO_ESP)
      all[it.outgoing ? 'sent' : 'came'].push(it.bytes.toString('hex'))
  }
  return all
}

/** TCP both ways, all of it in ESP that is the same at both ends, and in order. Returns what there was, in words. */
export async function espUnchanged({ pair }: Both): Promise<string> {
  const sockets = [pair.a, pair.b].map((host) => new PacketSocket(host, 'tap0'))
  const rate = await tcpWhole(pair, BYTES)
  const [a, b] = sockets.map(espOf)
  for (const socket of sockets) socket[Symbol.dispose]()
  assert.ok(
    a.sent.length > BYTES / 1458 && b.sent.length > BYTES / 1458,
    `${a.sent.length}, ${b.sent.length}`,
  )
  assert.deepEqual(b.came, a.sent)
  assert.deepEqual(a.came, b.sent)
  return `TCP both ways whole, ${rate.toFixed(1)} Mbit/s; ${a.sent.length} and ${b.sent.length} ESP packets, each the same at both ends, in order`
}
