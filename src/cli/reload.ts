import type { Command } from 'commander'
import pc from 'picocolors'
import { ask } from '../command/client.js'
import type { ReloadReport } from '../control/tunnel.js'
import { onlyDevice } from './device.js'

export function addReload(program: Command): void {
  program
    .command('reload')
    .summary('have a running tunnel read its file again')
    .description(
      'Has a running tunnel read its --config file again: peers come, go and change, and those that stay lose no frame. SIGHUP does the same.',
    )
    .option('--dev <name>', 'the device (default: the only one)')
    .option('--json', 'print JSON also on a terminal')
    .action(reload)
}

async function reload(flags: { dev?: string; json?: boolean }): Promise<void> {
  const report = (await ask(flags.dev ?? (await onlyDevice()), { command: 'reload' })) as ReloadReport
  const json = flags.json === true || !process.stdout.isTTY
  process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : `${render(report)}\n`)
}

function render({ added, removed, changed, needs_restart }: ReloadReport): string {
  const lines = [
    ...added.map((name) => `${pc.green('+')} ${name}`),
    ...removed.map((name) => `${pc.red('-')} ${name}`),
    ...changed.map((name) => `${pc.yellow('~')} ${name}`),
    ...needs_restart.map((key) => pc.yellow(`! ${key} has changed in the file, too: that needs a restart`)),
  ]
  return lines.length === 0 ? 'nothing has changed' : lines.join('\n')
}
