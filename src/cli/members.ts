import type { Command } from 'commander'
import { ask } from '../command/client.js'
import type { MemberReport } from '../control/members/report.js'
import { stdoutColors } from './colors.js'
import { chosenDevice, takesDevice } from './device.js'
import { endIfOutputFails } from './output.js'
import { duration, table } from './table.js'

export function addMembers(program: Command): void {
  takesDevice(program.command('members'))
    .summary('show who is in this network')
    .description(
      'Shows the hosts of the network, as this host knows them: who has made them peers, their addresses and keys, when they joined, and when they were seen last.',
    )
    .option('--json', 'print JSON also on a terminal')
    .action(members)
}

export function addRemove(program: Command): void {
  program
    .command('remove')
    .summary('take a member out of this network')
    .description(
      'On an introducer: takes out a member that was invited. This host ends its session at once, and tells the other members. What was to invite it is good no more.',
    )
    .argument('<member>', 'the name of the member')
    .option('--dev <name>', 'the device of the tunnel (default: the only one)')
    .action(remove)
}

interface Flags {
  readonly dev?: string
  readonly json?: boolean
}

async function members(argument: string | undefined, flags: Flags): Promise<void> {
  endIfOutputFails()
  const device = await chosenDevice(argument, flags.dev)
  const all = (await ask(device, { command: 'members' })) as readonly MemberReport[]
  const json = flags.json === true || !process.stdout.isTTY
  process.stdout.write(json ? `${JSON.stringify(all, null, 2)}\n` : `${renderMembers(all, Date.now())}\n`)
}

async function remove(name: string, flags: Flags): Promise<void> {
  endIfOutputFails()
  const device = await chosenDevice(undefined, flags.dev)
  await ask(device, { command: 'remove', name })
  process.stdout.write(`${name} is no member any more\n`)
}

export function renderMembers(all: readonly MemberReport[], nowMs: number): string {
  const since = (time: string | null) =>
    time === null ? '' : `${duration(Math.max(0, (nowMs - Date.parse(time)) / 1000))} ago`
  const rows = all.map(({ name, addresses, source, joined, seen, until, way, public_key }) => [
    name,
    addresses.join(' '),
    source,
    since(joined),
    until !== null && seen === null ? `must come until ${until}` : since(seen),
    way === 'direct' ? stdoutColors.green(way) : stdoutColors.dim(way),
    public_key ?? '',
  ])
  return table([['member', 'addresses', 'by', 'joined', 'seen', 'way', 'public key'], ...rows])
}
