/**
 * One end of a long TCP transfer. `listen <address> <port>` receives. At the end it prints, as JSON, how much
 * came and the longest time without data. `connect <address> <port> <seconds>` sends as fast as it can.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** What the receiver saw. */
export interface FlowReport {
  readonly bytes: number
  readonly seconds: number
  readonly longestStallMs: number
  /** The error that ended it, or null. */
  readonly error: string | null
}

const [role, address, port, seconds] = process.argv.slice(2)

async function receive(): Promise<void> {
  const server = createServer().listen(Number(port), address)
  await once(server, 'listening')
  process.stdout.write('listening\n')
  const [socket] = (await once(server, 'connection')) as [Socket]
  server.close()
  const startedMs = performance.now()
  let bytes = 0
  let lastMs = startedMs
  let longestStallMs = 0
  let error: string | null = null
  socket.on('data', (chunk) => {
    const nowMs = performance.now()
    longestStallMs = Math.max(longestStallMs, nowMs - lastMs)
    lastMs = nowMs
    bytes += chunk.length
  })
  socket.on('error', (it) => {
    error = it.message
  })
  await new Promise((resolve) => socket.once('close', resolve))
  const report: FlowReport = { bytes, seconds: (performance.now() - startedMs) / 1000, longestStallMs, error }
  process.stdout.write(`${JSON.stringify(report)}\n`)
}

async function send(): Promise<void> {
  const socket = connect(Number(port), address)
  await once(socket, 'connect')
  const chunk = Buffer.alloc(64 * 1024)
  for (const endMs = performance.now() + Number(seconds) * 1000; performance.now() < endMs; ) {
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
  socket.end()
  await once(socket, 'close')
}

if (role === 'listen') await receive()
else await send()
