import { once } from 'node:events'
import { connect } from 'node:net'
import { ANSWER_WITHIN_MS } from './path.js'

interface Line {
  readonly result?: unknown
  readonly error?: string
  readonly said?: string
}

/** Whether somebody listens at this Unix socket. */
export async function isListening(path: string): Promise<boolean> {
  return (await tryConnect(path)) === 'connected'
}

/** @returns `forbidden` if this user may not find out whether somebody listens there */
export async function tryConnect(path: string): Promise<'connected' | 'nobody' | 'forbidden'> {
  const socket = connect(path)
  try {
    await once(socket, 'connect')
    return 'connected'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES' ? 'forbidden' : 'nobody'
  } finally {
    socket.destroy()
  }
}

/**
 * Sends a line to a Unix socket, and parses the line that is the answer.
 * @param onSaid gets each text that comes before the answer
 */
export async function exchange(
  path: string,
  request: string,
  onSaid: (text: string) => void = () => {},
): Promise<{ readonly result?: unknown; readonly error?: string }> {
  let text = ''
  let answer = ''
  const socket = connect(path).setEncoding('utf8')
  socket.setTimeout(ANSWER_WITHIN_MS, () => {
    socket.destroy(new Error(`no answer within ${ANSWER_WITHIN_MS / 1000} s`))
  })
  socket.write(`${request}\n`)
  for await (const chunk of socket) {
    text += chunk
    // An answer may have many chunks.
    if (!chunk.includes('\n')) continue
    const lines = text.split('\n')
    text = lines.pop() ?? ''
    for (const line of lines.filter((it) => it !== '')) {
      const { said } = JSON.parse(line) as Line
      if (said === undefined) answer = line
      else onSaid(said)
    }
  }
  if (answer === '') throw new Error('it ends without an answer')
  return JSON.parse(answer)
}
