import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { type Joined, joinNetwork } from '../join/join.js'
import { makeUndumpable } from '../linux/process.js'
import { askForLine } from './ask-for-line.js'
import { stderrColors } from './colors.js'
import { examples } from './examples.js'
import { invitationIn, MAX_CHARACTERS } from './invitation-in.js'
import { endIfOutputFails } from './output.js'
import { startMember } from './start-member.js'

/** Where the unit of systemd looks for settings. */
const DIRECTORY = '/etc/udptun-fast'

const EXAMPLES = `
Examples:
  udptun-fast join --now < invitation.txt     a line that somebody has sent; it may be in a mail
  udptun-fast join                            asks for the line
`

interface Flags {
  readonly network?: string
  readonly directory: string
  readonly now?: boolean
}

export function addJoin(program: Command): void {
  program
    .command('join')
    .summary('become a member of a network by an invitation')
    .description(
      'Reads the line of an invitation (udptun-fast invite), makes a key for this host, tells its public part to the introducer, and writes a file of settings. If it ends early, do it again with the same line.',
    )
    .argument('[line]', 'the line; better give it on standard input, because other users see arguments')
    .option('--network <name>', 'what the network is called here (default: as the introducer calls it)')
    .option('--directory <directory>', 'where the files are written', DIRECTORY)
    .option('--now', 'start it, too: by systemd if that is here, or else in the background')
    .addHelpText('after', examples(EXAMPLES))
    .action(join)
}

async function join(line: string | undefined, flags: Flags): Promise<void> {
  makeUndumpable()
  endIfOutputFails()
  const tell = (text: string) => process.stderr.write(`${stderrColors.yellow('udptun-fast:')} ${text}\n`)
  if (line !== undefined)
    tell(
      'other users of this host may have seen the line, because it was an argument; standard input is better',
    )
  const invitation = invitationIn(line ?? (await standardInput()))
  const { network, directory } = flags
  const joined = await joinNetwork({ invitation, directory, network })
  for (const key of [invitation.privateKey, invitation.presharedKey]) key.fill(0)
  for (const text of explain(joined, directory, flags.now === true)) process.stdout.write(`${text}\n`)
  if (flags.now === true) process.stdout.write(`${await startMember(joined, directory === DIRECTORY)}\n`)
}

/** Only a person at a terminal can be asked again. */
async function standardInput(): Promise<string> {
  if (process.stdin.isTTY) return askForLine(process.stdin, (text) => process.stderr.write(text))
  let text = ''
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += chunk
    if (text.length > MAX_CHARACTERS) break
  }
  return text
}

/** What is said of a host that has become a member. */
export function explain(joined: Joined, directory: string, starts: boolean): string[] {
  const { name, network, introducer, path, addresses, wasThere } = joined
  const hasSystemd = directory === DIRECTORY && existsSync('/run/systemd/system')
  const unit = `udptun-fast@${network}`
  const start = hasSystemd ? `systemctl enable --now ${unit}` : `udptun-fast start --config ${path}`
  const again = hasSystemd ? `systemctl restart ${unit}` : 'udptun-fast reload'
  return [
    `This host is ${name}, a member of ${network} (${introducer}), with ${addresses.join(', ') || 'no address of its own'}.`,
    ...explainFile(joined),
    ...(starts ? [] : [`Start it with: ${start}`]),
    ...(starts || !wasThere ? [] : [`If it runs already, give it its new key with: ${again}`]),
  ]
}

function explainFile({ path, isKept, settings, former }: Joined): string[] {
  const list = settings.join(', ')
  if (isKept)
    return [
      `${path} was there before and was not written by join, so it is as it was. Only its preshared key is new.`,
      ...(settings.length === 0
        ? []
        : [`The introducer says something else about: ${list}. Mend that there if it is wrong.`]),
    ]
  if (former === undefined) return [`Its settings are in ${path}.`]
  return [
    `Its settings are in ${path}. ${settings.length === 0 ? 'Only its first line is new' : `New in there: ${list}`}; the rest stays.`,
    `The file that was there is now ${former}.`,
  ]
}
