import { readdirSync, readlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { UserError } from '../errors.js'

/**
 * The Unix socket by which a running tunnel is asked: a line of JSON in, `{"command": …}`, and one out, with
 * `result` or `error`, a sentence. Network namespaces share /run, so it is named by the namespace's inode and
 * the device.
 */
export const DIRECTORY = '/run/udptun-fast'

/** A command may take a while: a new discovery of path MTUs is one. */
export const ANSWER_WITHIN_MS = 30_000

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
