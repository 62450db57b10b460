import { constants } from 'node:os'
import { type Command, Option } from 'commander'
import { type ConfigFile, loadSettings } from '../config/load.js'
import {
  DATAPATHS,
  descriptionOf,
  LOG_LEVELS,
  MODES,
  OFFLOAD_MODES,
  WARM_UP_MODES,
} from '../config/schema.js'
import { Secret } from '../config/secret.js'
import type { WgQuickOptions } from '../config/wg-quick.js'
import { Faults, noLostLines } from '../control/faults.js'
import { usageError } from '../errors.js'
import { signalOnParentDeath } from '../linux/process.js'
import { createLog } from './log.js'
import { runTunnel } from './run-tunnel.js'
import { requireRereadable, requireWorkingDirectory } from './surroundings.js'

const EXAMPLES = `
Examples:
  udptun-fast start 10.9.0.1 198.51.100.2               on one host, and
  udptun-fast start 10.9.0.2 198.51.100.1               on the other: they share 10.9.0.0/24
  udptun-fast start 10.9.0.1 fd00:9::1/64 host-b:7000   IPv4 and IPv6 inside, a name and a port
  udptun-fast start 10.9.0.1 host-b --mode tun          IP packets instead of Ethernet frames
  udptun-fast start 10.9.0.1 --peer host-b --peer 198.51.100.3   three hosts, each with the other two
  udptun-fast start --peer host-b                       no address: for a bridge or a DHCP client
  udptun-fast start 10.9.0.1 host-b --private-key-file a.key --peer-key <key>   nobody else can read it
  udptun-fast start --wireguard wg0.conf                as a WireGuard peer
  udptun-fast start --config tunnel.yaml --mtu safe     settings from a file; a flag wins
`

export function addStart(program: Command): void {
  program
    .command('start')
    .summary('join this host to the remote')
    .description(
      'Makes a device, gives it the overlay addresses and carries its frames to the remote, until SIGTERM or SIGINT.',
    )
    .argument(
      '[addresses...]',
      'overlay addresses of this host, such as 10.9.0.1/24, then the remote, a name or address with an optional :port',
    )
    .option(
      '--peer <endpoint>',
      'one of the other hosts; repeat it for each; then all arguments are overlay addresses, and none is needed',
      collect,
    )
    .addOption(new Option('--mode <mode>', descriptionOf('mode')).choices(MODES))
    .option('--dev <name>', descriptionOf('dev'))
    .option('--listen <[addr|interface:]port>', descriptionOf('listen'))
    .option('--mac <mac>', descriptionOf('mac'))
    .option('--mtu <auto|safe|bytes>', descriptionOf('mtu'))
    .option('--mtu-refresh <seconds>', descriptionOf('mtu_refresh'))
    .option('--vlan', descriptionOf('vlan'))
    .option('--mss-clamp', descriptionOf('mss_clamp'))
    .addOption(new Option('--offload <mode>', descriptionOf('offload')).choices(OFFLOAD_MODES))
    .addOption(new Option('--datapath <mode>', descriptionOf('datapath')).choices(DATAPATHS))
    .addOption(new Option('--warm-up <mode>', descriptionOf('warm_up')).choices(WARM_UP_MODES))
    .option('--table <auto|off|number>', descriptionOf('table'))
    .option('--dns <servers>', `${descriptionOf('dns')}; with commas between them`)
    .option('--fwmark <mark>', descriptionOf('fwmark'))
    .option('--relay', descriptionOf('relay'))
    .option('--accept-any', descriptionOf('accept_any'))
    .option('--wait', descriptionOf('wait'))
    .option('--private-key-file <file>', descriptionOf('private_key_file'))
    .option('--peer-key <key>', descriptionOf('public_key'))
    .option('--preshared-key-file <file>', descriptionOf('preshared_key_file'))
    .option('--persistent-keepalive <seconds>', descriptionOf('persistent_keepalive'))
    .option('--config <file.yaml>', 'read settings from a YAML file')
    .option('--wireguard <wg0.conf>', 'read settings from a file for wg-quick(8); implies --mode tun')
    .option('--skip-hooks', 'with --wireguard: accept a file with PostUp and the like, and do not run them')
    .option('--metrics <[addr:]port|socket>', descriptionOf('metrics'))
    .addOption(new Option('--log-level <level>', descriptionOf('log_level')).choices(LOG_LEVELS))
    .option('--json', descriptionOf('json'))
    .addHelpText('after', EXAMPLES)
    .action(start)
}

function collect(endpoint: string, before: readonly string[] = []): readonly string[] {
  return [...before, endpoint]
}

interface Flags {
  peer?: readonly string[]
  mode?: string
  dev?: string
  listen?: string
  mac?: string
  mtu?: string
  mtuRefresh?: string
  vlan?: boolean
  mssClamp?: boolean
  offload?: string
  datapath?: string
  warmUp?: string
  table?: string
  dns?: string
  fwmark?: string
  relay?: boolean
  acceptAny?: boolean
  wait?: boolean
  privateKeyFile?: string
  peerKey?: string
  presharedKeyFile?: string
  persistentKeepalive?: string
  config?: string
  wireguard?: string
  skipHooks?: boolean
  metrics?: string
  logLevel?: string
  json?: boolean
}

/** How to read the file of settings, if there is one. Only then is it worth the time to load its parser. */
async function reader(
  { config, wireguard, skipHooks }: { [name in 'config' | 'wireguard']: string | undefined } & WgQuickOptions,
  warn: (warnings: readonly string[]) => void,
): Promise<(() => ConfigFile) | undefined> {
  if (wireguard !== undefined) {
    const { readWgQuick } = await import('../config/wg-quick.js')
    return () => {
      const file = readWgQuick(wireguard, { skipHooks })
      warn(file.warnings)
      return file
    }
  }
  if (config === undefined) return undefined
  const { readConfigFile } = await import('../config/yaml-file.js')
  return () => readConfigFile(config)
}

async function start(addresses: string[], flags: Flags): Promise<void> {
  requireWorkingDirectory()
  if (addresses.length === 1 && flags.peer === undefined) {
    throw usageError(
      `"${addresses[0]}" is not enough; give an overlay address and the remote, such as: udptun-fast start 10.9.0.1 198.51.100.2`,
    )
  }
  const { config, wireguard, skipHooks, acceptAny, mssClamp, mtuRefresh, warmUp, logLevel, peer, ...others } =
    flags
  const { privateKeyFile, peerKey, presharedKeyFile, persistentKeepalive, dns, ...rest } = others
  if (config !== undefined && wireguard !== undefined)
    throw usageError('--config and --wireguard are two files of settings; leave one of them out')
  if (skipHooks && wireguard === undefined)
    throw usageError('--skip-hooks is about the commands in a file for wg-quick(8); give --wireguard, too')
  const [local, remote] = peer === undefined ? [addresses.slice(0, -1), addresses.at(-1)] : [addresses]
  const given = {
    ...rest,
    local: addresses.length === 0 ? undefined : local,
    remote,
    peers: peer,
    accept_any: acceptAny,
    mss_clamp: mssClamp,
    mtu_refresh: mtuRefresh,
    warm_up: warmUp,
    log_level: logLevel,
    dns: dns?.split(','),
    private_key_file: privateKeyFile,
    public_key: peerKey,
    preshared_key_file: presharedKeyFile,
    persistent_keepalive: persistentKeepalive,
  }
  let warnings: readonly string[] = []
  const readFile = await reader({ config, wireguard, skipHooks }, (said) => {
    warnings = said
  })
  const read = () => Secret.wipedOnError(() => loadSettings(given, readFile?.()))
  const settings = read()

  if (process.env.npm_command === 'exec') signalOnParentDeath(constants.signals.SIGTERM)
  const lost = noLostLines()
  const log = await createLog(settings, lost)
  const faults = new Faults(log, lost)
  const told = new Set<string>()
  /** Logs what the file warns of, each sentence once. */
  const warn = () => {
    for (const sentence of warnings) {
      if (told.has(sentence)) continue
      told.add(sentence)
      log.warn(sentence)
    }
  }
  warn()
  const readAgain = () => {
    requireRereadable(config ?? wireguard ?? '')
    const settings = read()
    warn()
    return settings
  }
  const reread = config === undefined && wireguard === undefined ? undefined : readAgain
  await runTunnel({ settings, log, faults, reread })
}
