/** What udptun-fast-wg does: what wireguard-go does for wg-quick(8), with this program's data path. */

import { constants } from 'node:os'
import { Command, Option } from 'commander'
import { loadSettings } from '../config/load.js'
import { descriptionOf, LOG_LEVELS, type Settings } from '../config/schema.js'
import { Secret } from '../config/secret.js'
import { Faults, noLostLines } from '../control/faults.js'
import { secretBytes } from '../key-text.js'
import { makeUndumpable, signalOnParentDeath } from '../linux/process.js'
import { PUBLIC_KEY_BYTES } from '../wire/wireguard.js'
import { startInBackground } from './background.js'
import { openLogTarget } from './background-log.js'
import { stderrColors } from './colors.js'
import { examples } from './examples.js'
import { createLog } from './log.js'
import { ofOurs, runCommand } from './run-command.js'
import { runTunnel } from './run-tunnel.js'
import { requireWorkingDirectory } from './surroundings.js'

const NAME = 'udptun-fast-wg'

/** Of the devices of WireGuard: it fits IPv6 over Ethernet. */
const MTU_BYTES = 1420

const EXAMPLES = `
Examples:
  WG_QUICK_USERSPACE_IMPLEMENTATION=${NAME} wg-quick up wg0   where the kernel has no WireGuard
  ${NAME} wg0; wg setconf wg0 wg0.conf; wg show wg0            without wg-quick
  ip link delete wg0                                              ends it
`

interface Flags {
  readonly foreground?: true
  readonly logFile?: string
  readonly logLevel: Settings['log_level']
  readonly metrics?: string
}

const program = ofOurs(new Command(NAME))
  .description(
    'Makes a WireGuard device for wg(8), without keys and peers, and goes into the background when it is there.',
  )
  .argument('<device>', 'the name of the device, such as wg0')
  .option('-f, --foreground', 'stay in the foreground, and log on standard output')
  .addOption(
    new Option('--log-file <file>', 'a file that the log is added to (default: the system log)').env(
      'UDPTUN_LOG_FILE',
    ),
  )
  .addOption(
    new Option('--log-level <level>', 'the least important lines that are logged')
      .choices(LOG_LEVELS)
      .default('info')
      .env('UDPTUN_LOG_LEVEL'),
  )
  .addOption(new Option('--metrics <[addr:]port|socket>', descriptionOf('metrics')).env('UDPTUN_METRICS'))
  .addHelpText('after', examples(EXAMPLES))
  .action((device: string, flags: Flags) => (flags.foreground ? stay(device, flags) : go(device, flags)))

await runCommand(program)

/** A tunnel as wireguard-go begins: no key, no peer, no address, and a port that the kernel chooses. */
function settingsOf(device: string, { logLevel, metrics }: Flags): Settings {
  return loadSettings(
    {
      mode: 'tun',
      dev: device,
      local: [],
      listen: '0',
      table: 'off',
      private_key_file: new Secret(secretBytes(PUBLIC_KEY_BYTES)),
      log_level: logLevel,
      ...(metrics !== undefined && { metrics }),
    },
    { path: NAME, values: {}, wireguard: true, examples: { local: '', remote: '' }, lineOf: () => undefined },
  )
}

async function go(device: string, flags: Flags): Promise<void> {
  const { logFile, logLevel, metrics } = flags
  settingsOf(device, flags)
  const log = openLogTarget({ file: logFile, tag: NAME })
  if (log.name === undefined)
    process.stderr.write(
      `${stderrColors.yellow(`${NAME}:`)} there is no system log here, so nobody reads the log of ${device}; keep it with UDPTUN_LOG_FILE=<file>\n`,
    )
  await startInBackground({
    script: 'cli/wg.js',
    args: [
      ...['--foreground', '--log-level', logLevel],
      ...(metrics === undefined ? [] : ['--metrics', metrics]),
      device,
    ],
    log,
  })
}

async function stay(device: string, flags: Flags): Promise<void> {
  requireWorkingDirectory()
  // Keys come later.
  makeUndumpable()
  const settings = settingsOf(device, flags)
  if (process.env.npm_command === 'exec') signalOnParentDeath(constants.signals.SIGTERM)
  const lost = noLostLines()
  const log = await createLog(settings, lost)
  const faults = new Faults(log, lost)
  await runTunnel({ settings, log, faults, wgDevice: { mtuBytes: MTU_BYTES } })
}
