import { resolve } from 'node:path'
import type { Command } from 'commander'
import { listRunning } from '../command/client.js'
import { existingWgTarget, wgTarget } from '../config/wg-target.js'
import { UserError } from '../errors.js'
import { inNamespace } from '../host/namespace.js'
import { linkIfThere } from '../linux/interface.js'
import { Netlink } from '../linux/netlink.js'
import { startInBackground } from './background.js'
import { logFileOption, lostLog, openLogTarget } from './background-log.js'
import { stderrColors } from './colors.js'
import { examples } from './examples.js'
import { runSettings } from './run-settings.js'
import { FILE_OR_NAME } from './strip.js'
import { requireWorkingDirectory } from './surroundings.js'
import { hookOptions, logOptions, refuseBoth, settingsOfFlags, tunnelOptions } from './tunnel-flags.js'

const EXAMPLES = `
Examples:
  udptun-fast up wg0                 by /etc/wireguard/wg0.conf, in the background
  udptun-fast up ./wg0.conf --allow-hooks       runs PostUp and the like, too
  udptun-fast up --foreground wg0    for a service manager
  udptun-fast down wg0               ends it
`

/** What the process in the background does not get. */
const OF_BACKGROUND: ReadonlySet<string> = new Set(['foreground', 'logFile'])

interface Flags {
  readonly foreground?: boolean
  readonly logFile?: string
  readonly allowHooks?: boolean
  readonly skipHooks?: boolean
  readonly netns?: string
  readonly privateKeyFile?: string
}

export function addUp(program: Command): void {
  const command = program.command('up')
  command
    .summary('start a tunnel by a file for wg-quick(8)')
    .description(
      'Starts a tunnel by a file for wg-quick(8), in mode tun, and returns when its device is up. The device has the name of the file.',
    )
    .argument('<file-or-name>', FILE_OR_NAME)
    .option('-f, --foreground', 'stay in the foreground, and log on standard output')
    .addOption(logFileOption('in the background'))
    .addHelpText('after', examples(EXAMPLES))
    .action((argument: string, flags: Flags) => up(argument, flags, command))
  for (const option of [...hookOptions(), ...tunnelOptions(), ...logOptions()]) command.addOption(option)
}

async function up(argument: string, flags: Flags, command: Command): Promise<void> {
  requireWorkingDirectory()
  refuseBoth(flags)
  const { device, path } = existingWgTarget(argument)
  await refuseTaken(device, flags.netns)
  await (flags.foreground ? stay(device, path, flags) : go(argument, flags, command))
}

/** Before a hook can have done anything. @throws UserError */
async function refuseTaken(device: string, netns: string | undefined): Promise<void> {
  const isThere = inNamespace(netns, () => {
    using netlink = new Netlink()
    return linkIfThere(netlink, device) !== undefined
  })
  if (!isThere) return
  if ((await listRunning()).includes(device))
    throw new UserError(`${device} is up already; end it with: udptun-fast down ${device}`)
  throw new UserError(
    `there is a device ${device} already, of another program; see it with: ip link show ${device}`,
  )
}

async function stay(device: string, path: string, flags: Flags): Promise<never> {
  const { foreground, logFile, allowHooks, skipHooks, ...settings } = flags
  const { readWgQuick } = await import('../config/wg-quick.js')
  const read = () => readWgQuick(path, { allowHooks, skipHooks, saves: true })
  return runSettings({ ...settingsOfFlags(settings), dev: device }, { path, read, saves: true })
}

async function go(argument: string, flags: Flags, command: Command): Promise<void> {
  const log = openLogTarget({ file: flags.logFile, tag: 'udptun-fast' })
  const tell = (line: string) => process.stderr.write(`${line}\n`)
  const lost = lostLog(log)
  if (lost !== undefined) tell(`${stderrColors.yellow('udptun-fast:')} ${lost}`)
  await startInBackground({
    script: 'cli/main.js',
    // A link to the file has the device's name.
    args: ['up', '--foreground', ...flagsOf(command), '--', resolve(wgTarget(argument).path)],
    log,
    callerDirectory: process.cwd(),
    onSaid: tell,
  })
}

/** The flags as they were given. The new process has another working directory. */
function flagsOf(command: Command): string[] {
  const given = command.options.filter(
    (it) =>
      !OF_BACKGROUND.has(it.attributeName()) && command.getOptionValue(it.attributeName()) !== undefined,
  )
  return given.map((it) => {
    const value: unknown = command.getOptionValue(it.attributeName())
    if (value === true) return `${it.long}`
    return `${it.long}=${it.attributeName() === 'privateKeyFile' ? resolve(`${value}`) : value}`
  })
}
