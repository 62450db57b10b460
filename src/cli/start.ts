import { type Command, Option } from 'commander'
import { descriptionOf, ENCAPS, MODES } from '../config/schema.js'
import { usageError } from '../errors.js'
import { examples } from './examples.js'
import { collect } from './repeated.js'
import { runSettings, type SettingsFile } from './run-settings.js'
import { requireWorkingDirectory } from './surroundings.js'
import { hookOptions, logOptions, refuseBoth, settingsOfFlags, tunnelOptions } from './tunnel-flags.js'

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
  udptun-fast start --config tunnel.yaml --check        is the file right? nothing is started
`

export function addStart(program: Command): void {
  const command = program.command('start')
  command
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
    .addOption(new Option('--encap <encapsulation>', descriptionOf('encap')).choices(ENCAPS))
    .option('--vni <number>', descriptionOf('vni'))
    .option('--dev <name>', descriptionOf('dev'))
    .option('--mac <mac>', descriptionOf('mac'))
    .option('--vlan', descriptionOf('vlan'))
    .option('--relay', descriptionOf('relay'))
    .option('--accept-any', descriptionOf('accept_any'))
    .option('--peer-key <key>', descriptionOf('public_key'))
    .option('--preshared-key-file <file>', descriptionOf('preshared_key_file'))
    .option('--persistent-keepalive <seconds>', descriptionOf('persistent_keepalive'))
    .option('--introducer', descriptionOf('introducer'))
    .option('--introduce', descriptionOf('introduce'))
    .option('--relay-limit <mbits>', descriptionOf('relay_limit'))
    .option('--port-mapping', descriptionOf('port_mapping'))
    .option('--config <file.yaml>', 'read settings from a YAML file')
    .option('--check', 'say whether the settings are right, and start nothing')
    .option('--wireguard <wg0.conf>', 'read settings from a file for wg-quick(8); implies --mode tun')
    .addHelpText('after', examples(EXAMPLES))
    .action(start)
  for (const option of [...tunnelOptions(), ...hookOptions('with --wireguard: '), ...logOptions()])
    command.addOption(option)
}

/** Those that are read here. The others are settings. */
interface Flags {
  peer?: readonly string[]
  check?: boolean
  config?: string
  wireguard?: string
  skipHooks?: boolean
  allowHooks?: boolean
}

/** The file of settings, if there is one. Only then is it worth the time to load its parser. */
async function fileOf({
  config,
  wireguard,
  skipHooks,
  allowHooks,
}: Flags): Promise<SettingsFile | undefined> {
  if (wireguard !== undefined) {
    const { readWgQuick } = await import('../config/wg-quick.js')
    const read = () => readWgQuick(wireguard, { skipHooks, allowHooks })
    return { path: wireguard, read, saves: false }
  }
  if (config === undefined) return undefined
  const { readConfigFile } = await import('../config/yaml-file.js')
  return { path: config, read: () => readConfigFile(config), saves: false }
}

async function start(addresses: string[], flags: Flags): Promise<void> {
  requireWorkingDirectory()
  if (addresses.length === 1 && flags.peer === undefined) {
    throw usageError(
      `"${addresses[0]}" is not enough; give an overlay address and the remote, such as: udptun-fast start 10.9.0.1 198.51.100.2`,
    )
  }
  const { check, config, wireguard, skipHooks, allowHooks, ...settings } = flags
  if (config !== undefined && wireguard !== undefined)
    throw usageError('--config and --wireguard are two files of settings; leave one of them out')
  refuseBoth(flags)
  if (wireguard === undefined && (skipHooks || allowHooks))
    throw usageError(
      `--${skipHooks ? 'skip' : 'allow'}-hooks is about the commands in a file for wg-quick(8); give --wireguard, too`,
    )
  const [local, remote] = flags.peer === undefined ? [addresses.slice(0, -1), addresses.at(-1)] : [addresses]
  const given = {
    ...settingsOfFlags({ ...settings }),
    local: addresses.length === 0 ? undefined : local,
    remote,
  }
  const file = await fileOf(flags)
  if (check) return (await import('./check-settings.js')).checkSettings(given, file)
  await runSettings(given, file)
}
