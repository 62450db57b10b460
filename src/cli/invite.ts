import type { Command } from 'commander'
import encodeQR from 'qr'
import { ask } from '../command/client.js'
import type { InviteReport } from '../control/members/inviter.js'
import { inviteRequestOf } from '../control/members/request.js'
import { stderrColors } from './colors.js'
import { chosenDevice } from './device.js'
import { examples } from './examples.js'
import { endIfOutputFails } from './output.js'
import { collect } from './repeated.js'

const EXAMPLES = `
Examples:
  udptun-fast invite alice                         a line for one host, good for a day
  udptun-fast invite alice --hours 2 --endpoint hub.example.net
  udptun-fast invite --wireguard phone             a file and a QR code for WireGuard's apps
  udptun-fast invite alice | ssh alice sudo udptun-fast join --now
`

interface Flags {
  readonly dev?: string
  readonly address?: readonly string[]
  readonly group?: readonly string[]
  readonly hours?: string
  readonly endpoint?: readonly string[]
  readonly wireguard?: boolean
  readonly json?: boolean
}

export function addInvite(program: Command): void {
  program
    .command('invite')
    .summary('invite a host to this network')
    .description(
      'On an introducer: prints one line with which one host becomes a member, by udptun-fast join. On a terminal, it prints a QR code, too. Whoever has the line can join in the place of that host, so send it as you would send a password.',
    )
    .argument('<name>', 'what the new member is called: letters, digits and hyphens')
    .option('--dev <name>', 'the device of the tunnel (default: the only one)')
    .option(
      '--address <address>',
      'its overlay address; repeat it for each (default: the next free ones)',
      collect,
    )
    .option('--group <name>', 'a group that it is in, for rules of access; repeat it for each', collect)
    .option('--hours <hours>', 'how long the line is good (default: 24)')
    .option(
      '--endpoint <endpoint>',
      'where the newcomer finds this host: a name or address, and port; repeat it for each (default: the addresses of this host)',
      collect,
    )
    .option('--wireguard', "print a file for wg-quick and WireGuard's apps instead, in mode tun")
    .option('--json', 'print JSON')
    .addHelpText('after', examples(EXAMPLES))
    .action(invite)
}

async function invite(name: string, flags: Flags): Promise<void> {
  endIfOutputFails()
  const { address: addresses, group: groups, hours, endpoint: endpoints, wireguard } = flags
  const request = { command: 'invite', name, addresses, groups, hours, endpoints, wireguard }
  // A tunnel's refusal does not say whether the command line is wrong, so that is found out before it is asked.
  inviteRequestOf(request)
  const device = await chosenDevice(`invite ${name} --dev`, undefined, flags.dev)
  const report = (await ask(device, request)) as InviteReport
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
    return
  }
  process.stdout.write(report.text.endsWith('\n') ? report.text : `${report.text}\n`)
  if (process.stdout.isTTY) process.stdout.write(`\n${encodeQR(report.text, 'ascii', { ecc: 'low' })}\n`)
  for (const line of explain(report, endpoints !== undefined)) process.stderr.write(`${line}\n`)
}

/**
 * Whom it is for and until when, and what may be wrong.
 * @param isGiven whether a person has said where this host is
 */
export function explain(report: InviteReport, isGiven: boolean): string[] {
  const {
    name,
    network,
    until,
    addresses,
    groups,
    endpoints,
    wireguard,
    replaced,
    waits_for_signature,
    was_member,
    is_private,
  } = report
  const what = wireguard ? 'This file' : 'This line'
  const warn = stderrColors.yellow('!')
  const where = addresses.length === 0 ? '' : `, with ${addresses.join(', ')}`
  const inGroups = groups.length === 0 ? '' : `, in ${groups.join(', ')}`
  return [
    `${what} is for ${name} alone: one member of ${network}${where}${inGroups}. It is good until ${until}.`,
    wireguard
      ? `It has a private key, and is shown only now.`
      : `On ${name}: udptun-fast join --now, and give it the line.`,
    `It leads to ${endpoints.join(', ')}.`,
    ...(replaced ? [`${warn} The line that ${name} had before is good no more.`] : []),
    ...(was_member
      ? [
          `${warn} ${name} was a member before. The others know this name with its key of then, and refuse another key; for a host with a new key, use another name.`,
        ]
      : []),
    ...(waits_for_signature
      ? [
          `When ${name} has joined, it waits for a signature with the network key before others are told of it: udptun-fast members --unsigned`,
        ]
      : []),
    ...(is_private ? [`${warn} ${ofSite(name, isGiven)}`] : []),
  ]
}

/** Whoever has given an endpoint need not be told to give one. */
const ofSite = (name: string, isGiven: boolean) =>
  isGiven
    ? `Only hosts of this site reach what --endpoint says; ${name} must be one of them.`
    : `Nobody outside of this site reaches these addresses; if ${name} is outside, give --endpoint.`
