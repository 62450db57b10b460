import type { Command } from 'commander'
import { ask } from '../command/client.js'
import type { FdbReport } from '../control/addresses.js'
import { stdoutColors } from './colors.js'
import { chosenDevice, takesDevice } from './device.js'
import { fittedTable, terminalColumns, wrapped } from './fitted.js'
import { duration } from './table.js'
import { show, type WatchFlags } from './watch.js'

export function addFdb(program: Command): void {
  takesDevice(program.command('fdb'))
    .summary('show which MACs are behind which peer')
    .description(
      'Shows the forwarding database of a running tunnel: behind which peer each MAC address was last seen.',
    )
    .option('--json', 'print JSON also on a terminal')
    .option('--watch', 'print it again every second')
    .action(fdb)
}

async function fdb(argument: string | undefined, flags: WatchFlags & { dev?: string }): Promise<void> {
  const device = await chosenDevice('fdb', argument, flags.dev)
  await show(
    flags,
    async () => (await ask(device, { command: 'fdb' })) as FdbReport,
    (report) => renderFdb(report, terminalColumns()),
  )
}

/** The FDB as text for a person, sorted by peer, and what is wrong with it. */
export function renderFdb({ entries, counts }: FdbReport, columns = Number.POSITIVE_INFINITY): string {
  const sorted = [...entries].sort(
    (a, b) => (a.peer ?? '').localeCompare(b.peer ?? '') || a.mac.localeCompare(b.mac) || a.vlan - b.vlan,
  )
  const rows = sorted.map(({ mac, vlan, peer, age_s }) => [
    mac,
    vlan === 0 ? '' : String(vlan),
    peer ?? stdoutColors.dim('this host'),
    age_s === null ? stdoutColors.dim('configured') : `${duration(age_s)} ago`,
  ])
  const wrong: string[] = []
  if (counts.damped > 0)
    wrong.push(
      `${counts.damped} moves were not followed: MACs go to and fro, as with a loop or one MAC on two hosts`,
    )
  if (counts.full > 0) wrong.push(`${counts.full} times a MAC was not learnt: its peer has as many as it may`)
  return [
    fittedTable([['MAC', 'VLAN', 'behind', 'seen'], ...rows], { columns, least: ['seen', 'VLAN'] }),
    ...wrong.map((it) => wrapped(stdoutColors.yellow(`! ${it}`), columns)),
  ].join('\n')
}
