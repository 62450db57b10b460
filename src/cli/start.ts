import { constants } from 'node:os'
import { type Command, Option } from 'commander'
import { loadSettings, readConfigFile } from '../config/load.js'
import { LOG_LEVELS, MODES, OFFLOAD_MODES, settingsSchema } from '../config/schema.js'
import { Secret } from '../config/secret.js'
import { readWgQuick } from '../config/wg-quick.js'
import { Faults } from '../control/faults.js'
import { Tunnel } from '../control/tunnel.js'
import { UserError, usageError } from '../errors.js'
import { exitNow, signalOnParentDeath } from '../linux/process.js'
import { createLog } from './log.js'

const EXAMPLES = `
Examples:
  udptun-fast start 10.9.0.1 198.51.100.2               on one host, and
  udptun-fast start 10.9.0.2 198.51.100.1               on the other: they share 10.9.0.0/24
  udptun-fast start 10.9.0.1 fd00:9::1/64 host-b:7000   IPv4 and IPv6 inside, a name and a port
  udptun-fast start 10.9.0.1 host-b --mode tun          IP packets instead of Ethernet frames
  udptun-fast start 10.9.0.1 --peer host-b --peer 198.51.100.3   three hosts, each with the other two
  udptun-fast start 10.9.0.1 host-b --private-key-file a.key --peer-key <key>   nobody else can read it
  udptun-fast start --wireguard wg0.conf                as a WireGuard peer
  udptun-fast start --config tunnel.yaml --mtu safe     settings from a file; a flag wins
`

export function addStart(program: Command): void {
  const about = (key: keyof typeof settingsSchema.shape) => settingsSchema.shape[key].description ?? ''
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
    .option('--peer <endpoint>', 'one of the other hosts, where they are several; give it for each', collect)
    .addOption(new Option('--mode <mode>', about('mode')).choices(MODES))
    .option('--dev <name>', about('dev'))
    .option('--listen <[addr:]port>', about('listen'))
    .option('--mac <mac>', about('mac'))
    .option('--mtu <auto|safe|bytes>', about('mtu'))
    .option('--mtu-refresh <seconds>', about('mtu_refresh'))
    .option('--vlan', about('vlan'))
    .option('--mss-clamp', about('mss_clamp'))
    .addOption(new Option('--offload <mode>', about('offload')).choices(OFFLOAD_MODES))
    .option('--relay', about('relay'))
    .option('--accept-any', about('accept_any'))
    .option('--private-key-file <file>', about('private_key_file'))
    .option('--peer-key <key>', about('public_key'))
    .option('--preshared-key-file <file>', about('preshared_key_file'))
    .option('--persistent-keepalive <seconds>', about('persistent_keepalive'))
    .option('--config <file.yaml>', 'read settings from a YAML file')
    .option('--wireguard <wg0.conf>', 'read settings from a file for wg-quick(8); implies --mode tun')
    .addOption(new Option('--log-level <level>', about('log_level')).choices(LOG_LEVELS))
    .option('--json', about('json'))
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
  relay?: boolean
  acceptAny?: boolean
  privateKeyFile?: string
  peerKey?: string
  presharedKeyFile?: string
  persistentKeepalive?: string
  config?: string
  wireguard?: string
  logLevel?: string
  json?: boolean
}

async function start(addresses: string[], flags: Flags): Promise<void> {
  if (addresses.length === 1 && flags.peer === undefined) {
    throw usageError(
      `"${addresses[0]}" alone is not enough; give an overlay address and the remote, such as: udptun-fast start 10.9.0.1 198.51.100.2`,
    )
  }
  const { config, wireguard, acceptAny, mssClamp, mtuRefresh, logLevel, peer, ...others } = flags
  const { privateKeyFile, peerKey, presharedKeyFile, persistentKeepalive, ...rest } = others
  if (config !== undefined && wireguard !== undefined)
    throw usageError('--config and --wireguard are two files of settings; leave one of them out')
  const [local, remote] = peer === undefined ? [addresses.slice(0, -1), addresses.at(-1)] : [addresses]
  const given = {
    ...rest,
    local: addresses.length === 0 ? undefined : local,
    remote,
    peers: peer,
    accept_any: acceptAny,
    mss_clamp: mssClamp,
    mtu_refresh: mtuRefresh,
    log_level: logLevel,
    private_key_file: privateKeyFile,
    public_key: peerKey,
    preshared_key_file: presharedKeyFile,
    persistent_keepalive: persistentKeepalive,
  }
  let passedOver: readonly string[] = []
  const readFile = () => {
    if (wireguard !== undefined) {
      const file = readWgQuick(wireguard)
      passedOver = file.ignored
      return file
    }
    return config === undefined ? undefined : readConfigFile(config)
  }
  const read = () => Secret.wipedOnError(() => loadSettings(given, readFile()))
  const settings = read()

  if (process.env.npm_command === 'exec') signalOnParentDeath(constants.signals.SIGTERM)
  const log = await createLog(settings, (error) => faults.take('log', error))
  const faults = new Faults(log)
  for (const sentence of passedOver) log.warn(sentence)
  const abort = new AbortController()
  const reread = config === undefined && wireguard === undefined ? undefined : read
  // With a file, SIGHUP means: read it again. Without a file, it means that the terminal is gone.
  const ends = ['SIGTERM', 'SIGINT', ...(reread === undefined ? (['SIGHUP'] as const) : [])] as const
  const asked = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ends) {
      process.on(signal, () => {
        abort.abort()
        resolve(signal)
      })
    }
  })
  let reload = async () => {}
  if (reread !== undefined) process.on('SIGHUP', () => void reload())
  const starting = Tunnel.start(settings, log, abort.signal, reread, undefined, faults)
  const tunnel = await starting.catch((error: unknown) => {
    if (abort.signal.aborted) exitNow(0)
    throw error
  })
  reload = async () => {
    try {
      await tunnel.reload()
    } catch (error) {
      if (error instanceof UserError) log.warn(`not reloaded: ${error.message}`)
      else faults.take('reload', error)
    }
  }
  const reason = await Promise.race([asked, tunnel.died])
  await tunnel.stop()
  if (reason instanceof Error) throw reason
  log.info({ signal: reason }, `stopped by ${reason}`)
  exitNow(0)
}
