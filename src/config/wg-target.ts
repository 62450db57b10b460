import { existsSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { usageError } from '../errors.js'
import { parseDeviceName } from './values.js'

/** Where wg-quick(8) looks for the file of a device. */
const DIRECTORY = '/etc/wireguard'

const NAME = /^[a-zA-Z0-9_=+.-]{1,15}$/
const FILE = /(?:^|\/)([a-zA-Z0-9_=+.-]{1,15})\.conf$/

/** A device, and the file of its tunnel. */
export interface WgTarget {
  readonly device: string
  /** As a person wrote it, or in {@link DIRECTORY}. */
  readonly path: string
}

/**
 * What a person means by a name such as `wg0`, or a path such as `./wg0.conf`. As for wg-quick(8), what can be the name
 * of a device is one.
 * @throws UserError (exit code 2)
 */
export function wgTarget(argument: string): WgTarget {
  const path = NAME.test(argument) ? join(DIRECTORY, `${argument}.conf`) : argument
  const device = FILE.exec(path)?.[1]
  if (device === undefined)
    throw usageError(
      `"${argument}" is neither the name of a device nor a file that is called after one, such as wg0 or ./wg0.conf (1 to 15 of a-z, A-Z, 0-9 and _=+.-)`,
    )
  try {
    return { device: parseDeviceName(device), path }
  } catch (error) {
    throw usageError((error as Error).message)
  }
}

/**
 * The same with the file itself in the place of links to it, because that is what is written.
 * @throws UserError (exit code 2) if there is no such file
 */
export function existingWgTarget(argument: string): WgTarget {
  const { device, path } = wgTarget(argument)
  try {
    return { device, path: realpathSync(path) }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const here = path !== argument && existsSync(argument) ? `; for the file here, write ./${argument}` : ''
    throw usageError(code === 'ENOENT' ? `there is no ${path}${here}` : `${path} cannot be read (${code})`)
  }
}
