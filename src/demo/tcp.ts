/**
 * One TCP stream. `tcp.js send <address> <port> <seconds>` listens there and prints a line when it listens. It
 * sends for that time to the first that connects. `tcp.js receive <address> <port>` connects and prints what it
 * received as JSON ({@link Received}).
 */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'

export interface Received {
  readonly bytes: number
  /** From the first byte to the last. */
  readonly seconds: number
}

const CHUNK_BYTES = 256 * 1024

async function send(address: string, port: number, seconds: number): Promise<void> {
  const server = createServer().listen(port, address)
  await once(server, 'listening')
  process.stdout.write('listening\n')
  const [socket] = await once(server, 'connection')
  server.close()
  const chunk = Buffer.alloc(CHUNK_BYTES)
  for (const endMs = performance.now() + seconds * 1000; performance.now() < endMs; ) {
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
  socket.end()
}

async function receive(host: string, port: number): Promise<Received> {
  let bytes = 0
  let firstMs = 0
  let lastMs = 0
  const callback = (count: number) => {
    lastMs = performance.now()
    if (bytes === 0) firstMs = lastMs
    bytes += count
    return true
  }
  const socket = connect({ host, port, onread: { buffer: Buffer.alloc(CHUNK_BYTES), callback } })
  await once(socket, 'close')
  return { bytes, seconds: (lastMs - firstMs) / 1000 }
}

const [role, address, port, seconds] = process.argv.slice(2)
if (role === 'send') await send(address, Number(port), Number(seconds))
else process.stdout.write(`${JSON.stringify(await receive(address, Number(port)))}\n`)
