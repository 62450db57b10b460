import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { ask, listRunning } from '../command/client.js'
import { existingWgTarget, wgTarget } from '../config/wg-target.js'
import { UserError } from '../errors.js'
import { FILE_OR_NAME } from './strip.js'
import { workingDirectory } from './surroundings.js'

export function addDown(program: Command): void {
  program
    .command('down')
    .summary('end a tunnel that "up" has started')
    .description(
      'Ends a tunnel that udptun-fast up has started, and returns when its device is gone. It runs PreDown and PostDown if the tunnel was started with --allow-hooks, and writes the file if it says SaveConfig = true.',
    )
    .argument('<file-or-name>', FILE_OR_NAME)
    .action((argument: string) => askQuick(argument, 'stop'))
}

export function addSave(program: Command): void {
  program
    .command('save')
    .summary('write what a tunnel is now into its file')
    .description(
      'Writes the running configuration of a tunnel into its file for wg-quick(8), like wg-quick save: addresses, peers and keys as they are now. Comments are lost.',
    )
    .argument('<file-or-name>', FILE_OR_NAME)
    .action((argument: string) => askQuick(argument, 'save'))
}

/** Sends a command to the tunnel of a file, and shows what hooks say. @throws UserError */
async function askQuick(argument: string, command: 'stop' | 'save'): Promise<void> {
  const { device, path } = wgTarget(argument)
  // The message has the argument, not the device: if a key was given by mistake, its end may look like a device.
  if (!(await listRunning()).includes(device))
    throw new UserError(
      `no tunnel of this program runs for ${argument} here; start one with: udptun-fast up ${argument}`,
    )
  // A name means the tunnel, wherever its file is.
  const file = path === argument && existsSync(path) ? existingWgTarget(argument).path : undefined
  await ask(device, { command, path: file, directory: workingDirectory() }, (line) =>
    process.stderr.write(`${line}\n`),
  )
}
