import { once } from 'node:events'
import { connect } from 'node:net'
import { ANSWER_WITHIN_MS } from './path.js'

/** Whether somebody listens at this Unix socket. */
export async function isListening(path: string): Promise<boolean> {
  const socket = connect(path)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** Sends a line to a Unix socket, and parses the line that is the answer. */
export async function exchange(path: string, request: string): Promise<{ result?: unknown; error?: string }> {
  const chunks: Buffer[] = []
  const socket = connect(path)
  socket.setTimeout(ANSWER_WITHIN_MS, () => {
    socket.destroy(new Error(`no answer within ${ANSWER_WITHIN_MS / 1000} s`))
  })
  socket.write(`${request}\n`)
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return JSON.parse(Buffer.concat(chunks).toString('utf8'))
}
