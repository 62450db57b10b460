import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { UserError, usageError } from '../errors.js'
import { type Joined, joinNetwork } from '../join/join.js'
import { makeUndumpable } from '../linux/process.js'
import { askForLine } from './ask-for-line.js'
import { logFileOption } from './background-log.js'
import { stderrColors } from './colors.js'
import { examples } from './examples.js'
import { invitationIn, MAX_CHARACTERS } from './invitation-in.js'
import { endIfOutputFails } from './output.js'
import { type Running, runningByFile } from './running-by-file.js'
import { serviceOf } from './service-of.js'
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
  readonly logFile?: string
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
    .addOption(logFileOption('with --now, in the background'))
    .addHelpText('after', examples(EXAMPLES))
    .action(join)
}

async function join(line: string | undefined, flags: Flags, command: Command): Promise<void> {
  makeUndumpable()
  endIfOutputFails()
  const { network, directory, now = false, logFile } = flags
  // The variable of the environment may be for other commands.
  if (!now && command.getOptionValueSource('logFile') === 'cli')
    throw usageError('--log-file is for the tunnel that --now starts; give --now, too')
  const tell = (text: string) => process.stderr.write(`${stderrColors.yellow('udptun-fast:')} ${text}\n`)
  if (line !== undefined)
    tell(
      'other users of this host may have seen the line, because it was an argument; standard input is better',
    )
  const invitation = invitationIn(line ?? (await standardInput()))
  const joined = await joinNetwork({ invitation, directory, network })
  for (const key of [invitation.privateKey, invitation.presharedKey]) key.fill(0)
  const running = now ? undefined : await runningIfSeen(joined.path)
  for (const text of explain(joined, directory, now, running)) process.stdout.write(`${text}\n`)
  if (!now) return
  const started = await startMember(joined, { isUsual: directory === DIRECTORY, logFile, warn: tell })
  process.stdout.write(`${started}\n`)
}

/** A host has become a member also if the tunnels here are not for this user's eyes. */
async function runningIfSeen(path: string): Promise<Running | undefined> {
  try {
    return await runningByFile(path)
  } catch (error) {
    if (error instanceof UserError) return undefined
    throw error
  }
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

/**
 * What is said of a host that has become a member.
 * @param running the tunnel of the same file that runs already
 */
export function explain(joined: Joined, directory: string, starts: boolean, running?: Running): string[] {
  const { name, network, introducer, addresses } = joined
  return [
    `This host is ${name}, a member of ${network} (${introducer}), with ${addresses.join(', ') || 'no address of its own'}.`,
    ...explainFile(joined),
    ...(starts
      ? []
      : running === undefined
        ? explainStart(joined, directory)
        : explainRunning(joined, running)),
  ]
}

function explainStart({ network, path, wasThere }: Joined, directory: string): string[] {
  const hasSystemd = directory === DIRECTORY && existsSync('/run/systemd/system')
  const unit = `udptun-fast@${network}`
  const start = hasSystemd ? `systemctl enable --now ${unit}` : `udptun-fast start --config ${path}`
  const again = hasSystemd ? `systemctl restart ${unit}` : 'udptun-fast reload'
  // One in a container is not seen.
  return [
    `Start it with: ${start}`,
    ...(wasThere ? [`If it runs already, give it its new key with: ${again}`] : []),
  ]
}

function explainRunning({ network }: Joined, { device, pid }: Running): string[] {
  const unit = `udptun-fast@${network}`
  const isUnit = serviceOf(pid) === `${unit}.service`
  const again = isUnit ? `systemctl restart ${unit}` : `udptun-fast reload ${device}`
  return [`It runs already, as process ${pid}, with what it had before. Give it what is new with: ${again}`]
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
