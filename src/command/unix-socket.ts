import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { linkSync, rmSync, statSync } from 'node:fs'
import type { Server } from 'node:net'
import { dirname, join } from 'node:path'
import { isListening } from './exchange.js'

/** Neither the group nor others can connect. */
const UMASK = 0o177

/** Whether a Unix socket, with or without somebody who listens, is at this path. */
export function isSocket(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isSocket() === true
}

/**
 * Lets a server listen at a Unix socket of mode 0600. Replaces one that a killed program has left behind.
 *
 * It listens under another name first. Whoever connects between bind(2) and listen(2) is refused, and wg(8) then
 * removes the socket, because it thinks that a killed program has left it.
 * @returns a function that removes the socket, if it is still this one, and ends the server
 * @throws an error with the code EADDRINUSE if somebody answers there, or if it is another kind of file; other errors of
 *   bind(2), listen(2) and link(2)
 */
export async function listenAt(server: Server, path: string): Promise<() => void> {
  const directory = dirname(path)
  const temporary = join(directory, `.${randomBytes(3).toString('hex')}`)
  try {
    // Node.js says EACCES if the directory is not there.
    statSync(directory)
    await listen(server, temporary)
    await name(temporary, path)
  } catch (error) {
    server.close()
    throw error
  } finally {
    rmSync(temporary, { force: true })
  }
  const inode = inodeAt(path)
  return () => {
    if (inodeAt(path) === inode) rmSync(path, { force: true })
    server.close()
  }
}

const inodeAt = (path: string) => statSync(path, { throwIfNoEntry: false })?.ino

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

/** Gives a file that exists a further name. Unlike rename(2), it never replaces what another program makes meanwhile. */
async function name(existing: string, path: string): Promise<void> {
  try {
    linkSync(existing, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    if (!isSocket(path) || (await isListening(path)))
      throw Object.assign(new Error(`${path} is taken`), { code: 'EADDRINUSE' })
    rmSync(path, { force: true })
    linkSync(existing, path)
  }
}
