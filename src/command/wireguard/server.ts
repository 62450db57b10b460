import { type FSWatcher, mkdirSync, statSync, watch } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { EIO } from '../../linux/errno.js'
import { ANSWER_WITHIN_MS, isOwn } from '../path.js'
import type { OnFault } from '../server.js'
import { isSocket, listenAt } from '../unix-socket.js'
import { errnoText, writeGet } from './get-text.js'
import type { DeviceConfiguration, SetOperation } from './operation.js'
import { readWiped } from './own-buffer.js'
import { OperationReader } from './reader.js'

/** Where wg(8) looks for the sockets of programs. All network namespaces share it. */
const DIRECTORY = '/var/run/wireguard'

/** A tunnel whose configuration can be read and changed. */
export interface Configurable {
  get(): DeviceConfiguration
  /** Wipes the keys of the operation. @returns 0, or an errno */
  set(operation: SetOperation): Promise<number>
}

export interface ServeOptions {
  readonly onFault: OnFault
  /** Gets a sentence if there is no server. */
  readonly inform: (sentence: string) => void
  /** Called when somebody has removed the socket. */
  readonly onRemoved?: (() => void) | undefined
  readonly directory?: string
}

/**
 * Serves WireGuard's cross-platform configuration protocol (wireguard.com/xplatform) at the socket where wg(8) looks for
 * `device`. The tunnel runs without it if there can be none.
 * @returns a function that ends the server
 */
export async function serveWireGuard(
  device: string,
  configurable: Configurable,
  { onFault, inform, onRemoved, directory = DIRECTORY }: ServeOptions,
): Promise<() => void> {
  const path = join(directory, `${device}.sock`)
  const refuse = (why: string) => {
    inform(`wg cannot ask this tunnel: ${why}`)
    return () => {}
  }
  // In another user's directory, what a name stands for could change at any moment.
  if (!isOwn(directory)) return refuse(`${directory} is another user's`)
  const sockets = new Set<Socket>()
  const server = createServer({ pauseOnConnect: true }, (accepted) => {
    try {
      const socket = attend(accepted, configurable, onFault)
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
    } catch (error) {
      // For example, the process has no fd left.
      onFault(error, 'wg')
    }
  })
  let close: () => void
  try {
    mkdirSync(directory, { recursive: true, mode: 0o755 })
    close = await listenAt(server, path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EADDRINUSE' && isSocket(path)) return refuse(`another tunnel or program answers at ${path}`)
    return refuse(`no socket can be made at ${path} (${code})`)
  }
  // For example, a connection is not accepted because the process has no fd left.
  server.on('error', (error) => onFault(error))
  server.unref()
  const watcher = onRemoved === undefined ? undefined : watchRemoval(directory, path, onRemoved, onFault)
  return () => {
    watcher?.close()
    close()
    for (const socket of sockets) socket.destroy()
  }
}

/** The directory is watched, because the socket itself stays while somebody has it open. */
function watchRemoval(directory: string, path: string, onRemoved: () => void, onFault: OnFault): FSWatcher {
  const inodeOf = () => statSync(path, { throwIfNoEntry: false })?.ino
  const own = inodeOf()
  const watcher = watch(directory, { persistent: false }, () => {
    if (inodeOf() !== own) onRemoved()
  })
  return watcher.on('error', (error) => onFault(error, 'wg'))
}

/** Answers one operation after the other, until the other side has enough. */
function attend(accepted: Socket, configurable: Configurable, onFault: OnFault): Socket {
  const reader = new OperationReader()
  const socket = readWiped(accepted, (bytes) => {
    reader.push(bytes)
    answers = answers.then(answer).catch((error: unknown) => {
      onFault(error, 'wg')
      end()
    })
  })
  const end = () => {
    reader.wipe()
    socket.destroy()
  }
  const answer = async () => {
    for (let operation = reader.next(); operation !== undefined; operation = reader.next()) {
      const bytes = await answerTo(operation, configurable, onFault)
      await new Promise<void>((resolve) => socket.write(bytes, () => resolve()))
      bytes.fill(0)
      if (socket.destroyed) return
    }
    if (reader.isLost) end()
  }
  let answers = Promise.resolve()
  socket.setTimeout(ANSWER_WITHIN_MS, end)
  socket.on('error', end)
  socket.on('close', () => reader.wipe())
  socket.on('end', () => void answers.then(() => socket.end()))
  return socket
}

/** @returns the bytes of the answer, which the caller wipes */
async function answerTo(
  operation: 'get' | SetOperation | number,
  configurable: Configurable,
  onFault: OnFault,
): Promise<Buffer> {
  if (typeof operation === 'number') return Buffer.from(errnoText(operation))
  try {
    if (operation !== 'get') return Buffer.from(errnoText(await configurable.set(operation)))
    return writeGet(configurable.get())
  } catch (error) {
    onFault(error, 'wg')
    return Buffer.from(errnoText(EIO))
  }
}
