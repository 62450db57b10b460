import { existsSync } from 'node:fs'
import { listRunning } from '../command/client.js'
import { existingWgTarget, wgTarget } from '../config/wg-target.js'
import { UserError } from '../errors.js'
import { runningByFile, runningByName } from './running-by-file.js'

/** A tunnel that a person means. */
export interface Meant {
  readonly device: string
  /** The file for wg-quick(8) that it must be of; undefined if that does not matter. */
  readonly path: string | undefined
}

/**
 * The tunnel of a device, of a file for wg-quick(8) or of a file of settings, which may be named without its folder and
 * its ending. A device comes first.
 * @throws UserError if none runs
 */
export async function tunnelToEnd(argument: string): Promise<Meant> {
  if ((await listRunning()).includes(argument)) return { device: argument, path: undefined }
  const device = await deviceBySettings(argument)
  if (device !== undefined) return { device, path: undefined }
  if (/\.ya?ml$/.test(argument))
    throw new UserError(
      `no tunnel of this program runs by ${argument} here; start one with: udptun-fast start --config ${argument}`,
    )
  return quickTunnel(argument)
}

/** @throws UserError if there are several */
async function deviceBySettings(argument: string): Promise<string | undefined> {
  if (existsSync(argument)) {
    const running = await runningByFile(argument)
    if (running !== undefined) return running.device
  }
  const devices = (await runningByName(argument)).map(({ device }) => device)
  if (devices.length > 1)
    throw new UserError(
      `several tunnels run by settings of the name ${argument}; give the device of one: ${devices.join(', ')}`,
    )
  return devices[0]
}

/** The tunnel of a name or file for wg-quick(8). @throws UserError if none runs */
export async function quickTunnel(argument: string): Promise<Meant> {
  const { device, path } = wgTarget(argument)
  // The message has the argument, not the device: if a key was given by mistake, its end may look like a device.
  if (!(await listRunning()).includes(device))
    throw new UserError(
      `no tunnel of this program runs for ${argument} here; start one with: udptun-fast up ${argument}`,
    )
  // A name means the tunnel, wherever its file is.
  const file = path === argument && existsSync(path) ? existingWgTarget(argument).path : undefined
  return { device, path: file }
}
