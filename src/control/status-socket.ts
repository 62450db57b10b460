import { once } from 'node:events'
import { chmodSync, mkdirSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { basename, join } from 'node:path'
import { UserError } from '../errors.js'
import type { Faults } from './faults.js'
import type { StatusReport } from './status.js'

/**
 * The Unix socket by which a running tunnel is asked: a line of JSON in, `{"command": …}`, and one out, with
 * `result` or `error`, a sentence. Network namespaces share /run, so it is named by the namespace's inode and
 * the device.
 */
const DIRECTORY = '/run/udptun-fast'

/** A command may take a while: a new discovery of path MTUs is one. */
const ANSWER_WITHIN_MS = 30_000

function namespaceInode(): string {
  return /\d+/.exec(readlinkSync('/proc/self/ns/net'))?.[0] ?? '0'
}

export function statusSocketPath(device: string): string {
  return join(DIRECTORY, `${namespaceInode()}-${device}.sock`)
}

/**
 * Devices of tunnels that run in this network namespace, or did until they were killed.
 * @throws UserError for anybody but root
 */
export function listDevices(): string[] {
  const prefix = `${namespaceInode()}-`
  try {
    return readdirSync(DIRECTORY)
      .filter((name) => name.startsWith(prefix) && name.endsWith('.sock'))
      .map((name) => basename(name, '.sock').slice(prefix.length))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return []
    throw new UserError(`${DIRECTORY}, where tunnels are asked, cannot be read (${code}); run as root`)
  }
}

/** Those of {@link listDevices} whose tunnel runs. */
export async function listRunning(): Promise<string[]> {
  const devices = listDevices()
  const runs = await Promise.all(devices.map((device) => isListening(statusSocketPath(device))))
  return devices.filter((_, index) => runs[index])
}

async function isListening(path: string): Promise<boolean> {
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

/** What a tunnel does for whoever asks, by the command's name. */
export type Commands = Readonly<Record<string, (request: Readonly<Record<string, unknown>>) => unknown>>

/** Longer requests than this are nobody's who knows what to ask. */
const MAX_REQUEST_BYTES = 4_096

/**
 * Answers every connection. The device's name is this process's, so an old socket is stale.
 * @returns what ends it
 * @throws UserError where no socket can be made
 */
export async function serveCommands(device: string, commands: Commands, faults: Faults): Promise<() => void> {
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
      answer(commands, text.slice(0, end), faults)
        .then((line) => socket.end(`${line}\n`))
        .catch((error: unknown) => {
          faults.take('command', error)
          // Or whoever asks waits for it.
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
  // Such as one that is not accepted, because the process has no fd left for it.
  server.on('error', (error) => faults.take('command', error))
  server.unref()
  // That removes the file, too.
  return () => void server.close()
}

/** A line of JSON, whatever was asked. What is no mistake of the asker's is a fault. */
async function answer(commands: Commands, request: string, faults: Faults): Promise<string> {
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
    if (!mistake) faults.take('command', error, String(command))
    return JSON.stringify({ error: error instanceof Error ? error.message : String(error) })
  }
}

/** Asks the tunnel on `device` of this network namespace for its status. @throws UserError when there is none */
export async function askStatus(device: string): Promise<StatusReport> {
  return (await ask(device, { command: 'status' })) as StatusReport
}

/**
 * Has the tunnel on `device` of this network namespace do something.
 * @returns its command's result
 * @throws UserError when there is none, or with what the tunnel says is wrong
 */
export async function ask(
  device: string,
  request: Readonly<{ command: string } & Record<string, unknown>>,
): Promise<unknown> {
  const { result, error } = await exchange(device, JSON.stringify(request))
  if (error !== undefined) throw new UserError(error)
  return result
}

async function exchange(device: string, request: string): Promise<{ result?: unknown; error?: string }> {
  const path = statusSocketPath(device)
  try {
    const chunks: Buffer[] = []
    const socket = connect(path)
    socket.setTimeout(ANSWER_WITHIN_MS, () => {
      socket.destroy(new Error(`no answer within ${ANSWER_WITHIN_MS / 1000} s`))
    })
    socket.write(`${request}\n`)
    for await (const chunk of socket) chunks.push(chunk as Buffer)
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'EACCES')
      throw new UserError(`the tunnel on ${device} may be asked by root alone; run as root`)
    if (code === 'ENOENT' || code === 'ECONNREFUSED') {
      throw new UserError(
        `no tunnel runs on ${device} here; start one with: udptun-fast start <local-ip> <remote>`,
      )
    }
    throw new UserError(`the tunnel on ${device} does not answer (${message})`)
  }
}
