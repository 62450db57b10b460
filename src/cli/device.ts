import type { Command } from 'commander'
import { listRunning } from '../command/client.js'
import { UserError, usageError } from '../errors.js'

/** How the commands take the device of a running tunnel: as an argument or as a flag. */
export function takesDevice(command: Command): Command {
  return command
    .argument('[device]', 'the device of the tunnel (default: the only one)')
    .option('--dev <name>', 'the same device, given as a flag')
}

/**
 * The device that was asked for, or else the only one that runs.
 * @param command what was asked, such as `peers` or `invite alice --dev`: the device goes behind it
 * @throws UserError
 */
export async function chosenDevice(
  command: string,
  argument: string | undefined,
  flag: string | undefined,
): Promise<string> {
  if (argument !== undefined && flag !== undefined && argument !== flag)
    throw usageError(`"${argument}" and --dev ${flag} are two devices; leave one of them out`)
  return argument ?? flag ?? (await onlyDevice(command))
}

async function onlyDevice(command: string): Promise<string> {
  const devices = await listRunning()
  if (devices.length === 1) return devices[0]
  throw new UserError(
    devices.length === 0
      ? 'no tunnel runs here; start one with: udptun-fast start <local-ip> <remote>'
      : `several tunnels run here (${devices.join(', ')}); name one, such as: udptun-fast ${command} ${devices[0]}`,
  )
}
