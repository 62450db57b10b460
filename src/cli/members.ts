import type { Command } from 'commander'
import { ask } from '../command/client.js'
import { formatRequest } from '../config/host-request.js'
import { parsePublicKey } from '../config/values.js'
import type { MemberReport } from '../control/members/report.js'
import { stdoutColors } from './colors.js'
import { chosenDevice, takesDevice } from './device.js'
import { fittedTable, terminalColumns } from './fitted.js'
import { endIfOutputFails } from './output.js'
import { duration } from './table.js'

export function addMembers(program: Command): void {
  takesDevice(program.command('members'))
    .summary('show who is in this network')
    .description(
      'Shows the hosts of the network, as this host knows them: who has made them peers, their addresses and keys, when they joined, and when they were seen last. Whoever is invited and has not joined yet is shown, too.',
    )
    .option('--unsigned', 'print the commands that sign the records of those who wait for that')
    .option('--json', 'print JSON also on a terminal')
    .action(members)
}

export function addRemove(program: Command): void {
  program
    .command('remove')
    .summary('take a member out of this network')
    .description(
      'On an introducer: takes out a member that was invited, or withdraws an invitation. This host ends its session at once, and tells the other members. What was to invite it is good no more.',
    )
    .argument('<member>', 'the name of the member')
    .option('--dev <name>', 'the device of the tunnel (default: the only one)')
    .action(remove)
}

interface Flags {
  readonly dev?: string
  readonly json?: boolean
  readonly unsigned?: boolean
}

async function members(argument: string | undefined, flags: Flags): Promise<void> {
  endIfOutputFails()
  const device = await chosenDevice('members', argument, flags.dev)
  const all = (await ask(device, { command: 'members' })) as readonly MemberReport[]
  if (flags.unsigned === true) {
    for (const line of commandsToSign(all)) process.stdout.write(`${line}\n`)
    return
  }
  const json = flags.json === true || !process.stdout.isTTY
  process.stdout.write(
    json ? `${JSON.stringify(all, null, 2)}\n` : `${renderMembers(all, Date.now(), terminalColumns())}\n`,
  )
}

async function remove(name: string, flags: Flags): Promise<void> {
  endIfOutputFails()
  const device = await chosenDevice(`remove ${name} --dev`, undefined, flags.dev)
  await ask(device, { command: 'remove', name })
  process.stdout.write(`${name} is no member any more\n`)
}

/** Columns that a narrow terminal has no room for, the least useful first. */
const LEAST = ['public key', 'joined', 'by', 'groups', 'record', 'way']

export function renderMembers(
  all: readonly MemberReport[],
  nowMs: number,
  columns = Number.POSITIVE_INFINITY,
): string {
  const since = (time: string | null) =>
    time === null ? '' : `${duration(Math.max(0, (nowMs - Date.parse(time)) / 1000))} ago`
  const rows = all.map(
    ({ name, addresses, groups, source, joined, seen, until, way, signed, public_key }) => [
      name,
      addresses.join(' '),
      groups.join(' '),
      source,
      since(joined),
      until !== null && seen === null ? comes(source, until) : since(seen),
      way === 'direct' ? stdoutColors.green(way) : stdoutColors.dim(way),
      signed === null ? '' : signed ? 'signed' : stdoutColors.yellow('waits for a signature'),
      public_key ?? '',
    ],
  )
  const head = ['member', 'addresses', 'groups', 'by', 'joined', 'seen', 'way', 'record', 'public key']
  return fittedTable([head, ...rows], { columns, least: LEAST })
}

/** Until when somebody must come who never has. */
function comes(source: MemberReport['source'], until: string): string {
  return `${source === 'invitation' ? 'invited' : 'must come'} until ${until}`
}

/** What signs the records of those who wait for a signature, on the computer that has the network key. */
export function commandsToSign(all: readonly MemberReport[]): string[] {
  return all
    .filter(({ signed }) => signed === false)
    .map(({ name, public_key, signing_key, addresses, groups }) => {
      const keys =
        signing_key === null || public_key === null
          ? `--public-key ${public_key}`
          : `--request ${formatRequest({ publicKey: parsePublicKey(public_key), signingKey: parsePublicKey(signing_key) })}`
      const networks = addresses.map((it) => (it.includes('/') ? `--prefix ${it}` : `--address ${it}`))
      return [
        `udptun-fast network sign network.key --name ${quoted(name)} ${keys}`,
        ...networks,
        ...groups.map((it) => `--group ${it}`),
      ].join(' ')
    })
}

/** A word as a shell takes it. */
function quoted(word: string): string {
  return /^[\w.:@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
