import { readdirSync, readlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { UserError } from '../errors.js'

/**
 * The directory of the Unix sockets by which running tunnels are asked. The request is one line of JSON,
 * `{"command": …}`. The answer is one line with `result` or with `error`, a sentence. Network namespaces share
 * /run, so a socket's name has the inode of the namespace and the device.
 */
export const DIRECTORY = '/run/udptun-fast'

/** A command may take a while, for example a new search of the path MTUs. */
export const ANSWER_WITHIN_MS = 30_000

function namespaceInode(): string {
  return /\d+/.exec(readlinkSync('/proc/self/ns/net'))?.[0] ?? '0'
}

export function statusSocketPath(device: string): string {
  return join(DIRECTORY, `${namespaceInode()}-${device}.sock`)
}

/**
 * Devices of tunnels in this network namespace. They run, or were killed.
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
