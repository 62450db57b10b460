import { Option } from 'commander'
import {
  DATAPATHS,
  descriptionOf,
  LOG_LEVELS,
  OFFLOAD_MODES,
  TOS_MODES,
  WARM_UP_MODES,
} from '../config/schema.js'
import { usageError } from '../errors.js'

/** The flags that make sense beside a file of settings for wg-quick(8), too. */
export function tunnelOptions(): Option[] {
  return [
    new Option('--listen <[addr|interface:]port>', descriptionOf('listen')),
    new Option('--mtu <auto|safe|bytes>', descriptionOf('mtu')),
    new Option('--mtu-refresh <seconds>', descriptionOf('mtu_refresh')),
    new Option('--mss-clamp', descriptionOf('mss_clamp')),
    new Option('--tos <mode>', descriptionOf('tos')).choices(TOS_MODES),
    new Option('--offload <mode>', descriptionOf('offload')).choices(OFFLOAD_MODES),
    new Option('--datapath <mode>', descriptionOf('datapath')).choices(DATAPATHS),
    new Option('--warm-up <mode>', descriptionOf('warm_up')).choices(WARM_UP_MODES),
    new Option('--crypto-workers <auto|count>', descriptionOf('crypto_workers')),
    new Option('--table <auto|off|table>', descriptionOf('table')),
    new Option('--hosts <suffix>', descriptionOf('hosts')),
    new Option('--dns <servers>', `${descriptionOf('dns')}; with commas between them`),
    new Option('--fwmark <mark>', descriptionOf('fwmark')),
    new Option('--wait', descriptionOf('wait')),
    new Option('--netns <name|path>', descriptionOf('netns')),
    new Option('--metrics <[addr:]port|socket>', descriptionOf('metrics')),
    new Option('--private-key-file <file>', descriptionOf('private_key_file')),
  ]
}

/** The flags about the commands in such a file. @param about begins their descriptions */
export function hookOptions(about = ''): Option[] {
  return [
    new Option('--allow-hooks', `${about}run PreUp, PostUp, PreDown and PostDown of the file`),
    new Option('--skip-hooks', `${about}accept a file with PostUp and the like, and do not run them`),
  ]
}

/** @throws UserError (exit code 2) */
export function refuseBoth({ allowHooks, skipHooks }: { allowHooks?: boolean; skipHooks?: boolean }): void {
  if (allowHooks && skipHooks)
    throw usageError('--allow-hooks and --skip-hooks contradict each other; leave one of them out')
}

/** The flags of the log. */
export function logOptions(): Option[] {
  return [
    new Option('--log-level <level>', descriptionOf('log_level')).choices(LOG_LEVELS),
    new Option('--json', descriptionOf('json')),
  ]
}

/** Flags that have another name in the settings. */
const OTHER_NAMES: Readonly<Record<string, string>> = { peer: 'peers', peerKey: 'public_key' }

/** Flags as settings, under the keys of the schema. */
export function settingsOfFlags(flags: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const settings = Object.entries(flags).map(([flag, value]) => [
    OTHER_NAMES[flag] ?? flag.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    value,
  ])
  const given = Object.fromEntries(settings)
  return typeof given.dns === 'string' ? { ...given, dns: given.dns.split(',') } : given
}
