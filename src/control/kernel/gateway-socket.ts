import { createSocket } from 'node:dgram'
import type { GatewaySocket } from '../network.js'

/**
 * A UDP socket to one port of a router. It is connected, so the kernel lets in only what comes from there. It keeps nobody
 * alive. Errors count as datagrams that are lost.
 */
export function openGateway(
  address: string,
  port: number,
  onMessage: (bytes: Uint8Array) => void,
): GatewaySocket {
  const socket = createSocket('udp4')
  let source: string | undefined
  let closed = false
  socket.unref()
  socket.on('error', () => {})
  socket.on('message', (bytes) => onMessage(bytes))
  socket.once('connect', () => {
    if (!closed) source = socket.address().address
  })
  socket.connect(port, address)
  return {
    get source() {
      return source
    },
    send: (bytes) => {
      if (source !== undefined && !closed) socket.send(bytes)
    },
    close: () => {
      if (closed) return
      closed = true
      // What was sent a moment ago leaves first.
      socket.close()
    },
  }
}
