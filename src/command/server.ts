import { mkdirSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { UserError } from '../errors.js'
import { isListening } from './exchange.js'
import { ANSWER_WITHIN_MS, isOwn, listSockets, type NamedDevice, places, socketName } from './path.js'
import { listenAt } from './unix-socket.js'

/** Sends a text to the person who waits for the answer. */
export type Say = (text: string) => void

/** What a tunnel does for a command, by the command's name. */
export type Commands = Readonly<
  Record<string, (request: Readonly<Record<string, unknown>>, say: Say) => unknown>
>

/** Takes an error of this program itself; `about` is the command. */
export type OnFault = (error: unknown, about?: string) => void

/** No valid request is longer than this. */
const MAX_REQUEST_BYTES = 16_384

/** Whoever waits for the answer is shown so often that it will come. */
const ALIVE_MS = ANSWER_WITHIN_MS / 3

/** How long {@link answersWritten} waits. */
const WRITTEN_WITHIN_MS = 1_000

/** The commands that are under way. */
const answering = new Set<Promise<void>>()

/**
 * Answers commands for the tunnel on `device` at a socket in the first of the {@link places} that takes
 * one. The tunnel runs without a socket if none does.
 * @param inform gets a sentence if the socket is not in the first directory
 * @returns a function that ends the server
 */
export async function serveCommands(
  device: NamedDevice,
  commands: Commands,
  onFault: OnFault,
  inform: (sentence: string) => void,
): Promise<() => void> {
  const name = socketName(device)
  await removeStale(device.name)
  const refused: string[] = []
  const none = () => `no status socket can be made in ${refused.join(' or ')}`
  for (const { directory, variable } of places()) {
    // In another user's directory, what a name stands for could change at any moment.
    if (variable !== '' && !isOwn(directory)) {
      refused.push(`${directory} (another user's)`)
      continue
    }
    try {
      const close = await listen(directory, name, commands, onFault)
      if (variable !== '')
        inform(`${none()}, so it is in ${directory}; udptun-fast status finds it there with ${variable}`)
      return close
    } catch (error) {
      refused.push(`${directory} (${(error as NodeJS.ErrnoException).code})`)
    }
  }
  inform(
    `${none()}, so nothing can ask this tunnel for its status; make /run writable, or set RUNTIME_DIRECTORY`,
  )
  return () => {}
}

/** Removes what killed tunnels have left: sockets for devices that are gone, or for the device of this name. */
async function removeStale(device: string): Promise<void> {
  try {
    const left = listSockets().filter((it) => !it.present || it.device === device)
    for (const { path } of left) if (!(await isListening(path))) rmSync(path, { force: true })
  } catch {
    // Whoever cannot see or remove them has no socket there, and says so.
  }
}

/** The directory above must exist: Node.js says ENOENT for any reason why it cannot make several at once. */
function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

async function listen(
  directory: string,
  name: string,
  commands: Commands,
  onFault: OnFault,
): Promise<() => void> {
  const server: Server = createServer((socket: Socket) => {
    socket.on('error', () => socket.destroy())
    socket.setTimeout(ANSWER_WITHIN_MS, () => socket.destroy())
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
      const end = text.indexOf('\n')
      if (end < 0 && text.length < MAX_REQUEST_BYTES) return
      socket.removeAllListeners('data')
      const answered = attend(socket, commands, text.slice(0, end), onFault)
      answering.add(answered)
      void answered.finally(() => answering.delete(answered))
    })
  })
  makeDirectory(directory)
  const close = await listenAt(server, join(directory, name))
  // For example, a connection is not accepted because the process has no fd left.
  server.on('error', (error) => onFault(error))
  server.unref()
  return close
}

/** Resolves when all commands are answered, or after a second, because whoever asks may stand still. */
export async function answersWritten(): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, WRITTEN_WITHIN_MS)
  })
  await Promise.race([late, Promise.all(answering)])
  clearTimeout(timer)
}

/** Resolves when the answer is written. */
async function attend(socket: Socket, commands: Commands, request: string, onFault: OnFault): Promise<void> {
  const write = (line: string) => {
    if (socket.writable) socket.write(`${line}\n`)
  }
  const alive = setInterval(() => write(''), ALIVE_MS)
  try {
    const line = await answer(commands, request, (said) => write(JSON.stringify({ said })), onFault)
    await new Promise<void>((resolve) => {
      socket.once('close', resolve)
      socket.end(`${line}\n`, resolve)
    })
  } catch (error) {
    onFault(error)
    // Otherwise the other side would wait for the answer.
    socket.destroy()
  } finally {
    clearInterval(alive)
  }
}

/** Returns a line of JSON for any request. An error that is not a mistake in the request is a fault. */
async function answer(commands: Commands, request: string, say: Say, onFault: OnFault): Promise<string> {
  let command: unknown
  try {
    const parsed: unknown = JSON.parse(request)
    command = Object(parsed).command
    if (typeof command !== 'string' || !Object.hasOwn(commands, command)) {
      throw new UserError(
        `there is no command ${JSON.stringify(command)} in this version; restart the tunnel`,
      )
    }
    return JSON.stringify({ result: (await commands[command](Object(parsed), say)) ?? null })
  } catch (error) {
    const mistake = error instanceof UserError || error instanceof SyntaxError
    if (!mistake) onFault(error, String(command))
    return JSON.stringify({ error: error instanceof Error ? error.message : String(error) })
  }
}
