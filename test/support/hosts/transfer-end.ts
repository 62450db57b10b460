/**
 * One end of a TCP connection on which both ends send at once: `listen|connect <address> <port> <bytes>
 * <seed>`. Prints, as JSON, the SHA-256 and the number of bytes of what it sent and of what it received.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { Noise } from './noise.js'

const CHUNK_BYTES = 256 * 1024

export interface Sum {
  readonly bytes: number
  readonly sha256: string
}

export interface EndReport {
  readonly sent: Sum
  readonly received: Sum
}

async function send(socket: Socket, bytes: number, seed: number): Promise<Sum> {
  const noise = new Noise(seed)
  const hash = createHash('sha256')
  for (let left = bytes; left > 0; left -= CHUNK_BYTES) {
    const chunk = noise.bytes(Math.min(CHUNK_BYTES, left))
    hash.update(chunk)
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
  socket.end()
  return { bytes, sha256: hash.digest('hex') }
}

async function receive(socket: Socket): Promise<Sum> {
  const hash = createHash('sha256')
  let bytes = 0
  socket.on('data', (chunk) => {
    hash.update(chunk)
    bytes += chunk.length
  })
  await once(socket, 'end')
  return { bytes, sha256: hash.digest('hex') }
}

async function open(role: string, host: string, port: number): Promise<Socket> {
  if (role === 'connect') {
    const socket = connect({ host, port, allowHalfOpen: true })
    await once(socket, 'connect')
    return socket
  }
  const server = createServer({ allowHalfOpen: true }).listen(port, host)
  await once(server, 'listening')
  process.stdout.write('listening\n')
  const [socket] = await once(server, 'connection')
  server.close()
  return socket
}

const [role, address, port, bytes, seed] = process.argv.slice(2)
const socket = await open(role, address, Number(port))
const [sent, received] = await Promise.all([send(socket, Number(bytes), Number(seed)), receive(socket)])
const report: EndReport = { sent, received }
process.stdout.write(`${JSON.stringify(report)}\n`)
