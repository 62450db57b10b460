import { once } from 'node:events'
import { rmSync, statSync } from 'node:fs'
import type { Server } from 'node:net'
import { isListening } from './exchange.js'

/** Neither the group nor others can connect. */
const UMASK = 0o177

/** Whether a Unix socket, with or without somebody who listens, is at this path. */
export function isSocket(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isSocket() === true
}

/**
 * Lets a server listen at a Unix socket of mode 0600. Replaces one that a killed program has left behind.
 * @throws the error of listen(2): EADDRINUSE if somebody answers there, or if it is another kind of file
 */
export async function listenAt(server: Server, path: string): Promise<void> {
  try {
    await listen(server, path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EADDRINUSE' || !isSocket(path) || (await isListening(path))) throw error
    rmSync(path, { force: true })
    await listen(server, path)
  }
}

async function listen(server: Server, path: string): Promise<void> {
  const before = process.umask(UMASK)
  try {
    // Node.js makes the socket before this returns.
    server.listen(path)
  } finally {
    process.umask(before)
  }
  await once(server, 'listening')
}
