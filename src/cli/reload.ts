import type { Command } from 'commander'
import { ask } from '../command/client.js'
import type { ReloadReport } from '../control/reload.js'
import { stdoutColors } from './colors.js'
import { chosenDevice, takesDevice } from './device.js'
import { endIfOutputFails } from './output.js'

export function addReload(program: Command): void {
  takesDevice(program.command('reload'))
    .summary('make a running tunnel read its file again')
    .description(
      'Makes a running tunnel read its --config or --wireguard file again: peers are added, removed and changed, and those that stay lose no frame. SIGHUP does the same. A tunnel that was started without a file has nothing to read: this refuses then, and SIGHUP ends the tunnel.',
    )
    .option('--json', 'print JSON also on a terminal')
    .action(reload)
}

async function reload(argument: string | undefined, flags: { dev?: string; json?: boolean }): Promise<void> {
  endIfOutputFails()
  const device = await chosenDevice('reload', argument, flags.dev)
  const report = (await ask(device, { command: 'reload' })) as ReloadReport
  const json = flags.json === true || !process.stdout.isTTY
  process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : `${render(report)}\n`)
}

function render({ added, removed, changed, private_key, needs_restart }: ReloadReport): string {
  const lines = [
    ...added.map((name) => `${stdoutColors.green('+')} ${name}`),
    ...removed.map((name) => `${stdoutColors.red('-')} ${name}`),
    ...changed.map((name) => `${stdoutColors.yellow('~')} ${name}`),
    ...(private_key ? [`${stdoutColors.yellow('~')} the private key: all sessions begin again`] : []),
    ...needs_restart.map((key) =>
      stdoutColors.yellow(`! ${key} has changed in the file, too: that needs a restart`),
    ),
  ]
  return lines.length === 0 ? 'nothing has changed' : lines.join('\n')
}
