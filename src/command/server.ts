import { once } from 'node:events'
import { chmodSync, mkdirSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { UserError } from '../errors.js'
import { ANSWER_WITHIN_MS, DIRECTORY, statusSocketPath } from './path.js'

/** What a tunnel does for a command, by the command's name. */
export type Commands = Readonly<Record<string, (request: Readonly<Record<string, unknown>>) => unknown>>

/** Takes an error of this program itself; `about` is the command. */
export type OnFault = (error: unknown, about?: string) => void

/** No valid request is longer than this. */
const MAX_REQUEST_BYTES = 4_096

/**
 * Answers every connection. Only this process has the device of this name, so an old socket is stale.
 * @returns a function that ends the server
 * @throws UserError if no socket can be made
 */
export async function serveCommands(
  device: string,
  commands: Commands,
  onFault: OnFault,
): Promise<() => void> {
  const path = statusSocketPath(device)
  const server: Server = createServer((socket: Socket) => {
    socket.on('error', () => socket.destroy())
    socket.setTimeout(ANSWER_WITHIN_MS, () => socket.destroy())
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
      const end = text.indexOf('\n')
      if (end < 0 && text.length < MAX_REQUEST_BYTES) return
      socket.removeAllListeners('data')
      answer(commands, text.slice(0, end), onFault)
        .then((line) => socket.end(`${line}\n`))
        .catch((error: unknown) => {
          onFault(error)
          // Otherwise the other side would wait for the answer.
          socket.destroy()
        })
    })
  })
  try {
    mkdirSync(DIRECTORY, { recursive: true, mode: 0o700 })
    rmSync(path, { force: true })
    server.listen(path)
    await once(server, 'listening')
    chmodSync(path, 0o600)
  } catch (error) {
    server.close()
    const { code } = error as NodeJS.ErrnoException
    throw new UserError(`the status socket ${path} cannot be made (${code}); make /run a place to write to`)
  }
  // For example, a connection is not accepted because the process has no fd left.
  server.on('error', (error) => onFault(error))
  server.unref()
  // This removes the file, too.
  return () => void server.close()
}

/** Returns a line of JSON for any request. An error that is not a mistake in the request is a fault. */
async function answer(commands: Commands, request: string, onFault: OnFault): Promise<string> {
  let command: unknown
  try {
    const parsed: unknown = JSON.parse(request)
    command = Object(parsed).command
    if (typeof command !== 'string' || !Object.hasOwn(commands, command)) {
      throw new UserError(
        `there is no command ${JSON.stringify(command)} in this version; restart the tunnel`,
      )
    }
    return JSON.stringify({ result: (await commands[command](Object(parsed))) ?? null })
  } catch (error) {
    const mistake = error instanceof UserError || error instanceof SyntaxError
    if (!mistake) onFault(error, String(command))
    return JSON.stringify({ error: error instanceof Error ? error.message : String(error) })
  }
}
