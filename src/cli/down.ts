import type { Command } from 'commander'
import { ask, processOf } from '../command/client.js'
import { examples } from './examples.js'
import { FILE_OR_NAME } from './strip.js'
import { workingDirectory } from './surroundings.js'
import { type Meant, quickTunnel, tunnelToEnd } from './tunnel-to-end.js'

const EXAMPLES = `
Examples:
  udptun-fast down wg0               one that udptun-fast up wg0 has started
  udptun-fast down office            one that udptun-fast join --now has started in the background
  udptun-fast down ./office.yaml     the same, by its file of settings
`

export function addDown(program: Command): void {
  program
    .command('down')
    .alias('stop')
    .summary('end a tunnel that "up" or "join --now" has started')
    .description(
      'Ends a tunnel that udptun-fast up has started, or udptun-fast join --now in the background. It returns when the device is gone. It runs PreDown and PostDown if the tunnel was started with --allow-hooks, and writes the file if it says SaveConfig = true. Of a tunnel that runs in the foreground, or as a service, it says what ends it.',
    )
    .argument(
      '<file-or-name>',
      'its device, its network or its file, such as wg0, office, ./wg0.conf or ./office.yaml',
    )
    .addHelpText('after', examples(EXAMPLES))
    .action(async (argument: string) => askFor('stop', await tunnelToEnd(argument)))
}

export function addSave(program: Command): void {
  program
    .command('save')
    .summary('write what a tunnel is now into its file')
    .description(
      'Writes the running configuration of a tunnel into its file for wg-quick(8), like wg-quick save: addresses, peers and keys as they are now. Comments are lost.',
    )
    .argument('<file-or-name>', FILE_OR_NAME)
    .action(async (argument: string) => askFor('save', await quickTunnel(argument)))
}

/** Sends a command to a tunnel, and shows what hooks say. @throws UserError */
async function askFor(command: 'stop' | 'save', { device, path }: Meant): Promise<void> {
  const request = { command, path, directory: workingDirectory(), process: processOf(device) }
  await ask(device, request, (line) => process.stderr.write(`${line}\n`))
}
