import type { z } from 'zod'
import { usageError } from '../errors.js'
import { RULE_KEYS } from './access-rule.js'
import type { SettingPath } from './conflicts.js'
import { nearest } from './nearest.js'
import { PEER_KEYS, SECRET_SETTINGS, type Settings, settingsSchema } from './schema.js'
import { isConflict, settle } from './settle.js'
import { withVxlanPort } from './vxlan.js'

/** The contents of a configuration file: plain values, and the line of each setting. */
export interface ConfigFile {
  readonly path: string
  readonly values: Readonly<Record<string, unknown>>
  /** Whether it is a file for wg-quick(8). Its tunnel is private in any case. */
  readonly wireguard?: true
  /** What to do if one of these settings is missing. */
  readonly examples: Readonly<Record<'local' | 'remote', string>>
  lineOf(path: SettingPath): number | undefined
}

/**
 * The settings from a file and flags, both under the keys of the schema. A flag wins.
 * @throws UserError (exit code 2): one sentence about the first mistake, with the line of the file or the flag
 */
export function loadSettings(flags: Readonly<Record<string, unknown>>, file?: ConfigFile): Settings {
  const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined))
  // `peers` and `remote` are two forms of one setting. A flag of either form replaces both.
  const others = Object.hasOwn(given, 'peers') || Object.hasOwn(given, 'remote') ? OTHERS_UNSAID : {}
  const values = withVxlanPort({ ...file?.values, ...others, ...given })
  const name = (path: SettingPath) => nameOf(path, given, file)
  const parsed = settingsSchema.safeParse(values)
  if (!parsed.success) throw usageError(explainIssue(parsed.error.issues, values, name, file))
  if (file?.wireguard && parsed.data.private_key_file === undefined)
    throw usageError(`${file.path} has no PrivateKey; add it to [Interface], or give --private-key-file`)
  const settled = settle(parsed.data)
  if (isConflict(settled)) throw usageError(`${name(settled[0])}: ${settled[1]}`)
  // A tap may be a port of a bridge, or get an address by DHCP. In mode tun only an empty list says that.
  if (values.local === undefined && settled.mode === 'tun')
    throw usageError(`${name(['local'])} is missing; ${howToGive('local', file)}`)
  // Peers may be added to such a file, and come with a reload. An introducer may invite all, and etcd may know all.
  const isAlone = settled.peers.length === 0 && !settled.introduce && settled.discovery === undefined
  if (!isAlone || file?.wireguard) return settled
  if (parsed.data.peers === undefined)
    throw usageError(`${name(['remote'])} is missing; ${howToGive('remote', file)}`)
  // Keys tell who is who, so the last peer of a private tunnel can be taken out.
  if (settled.private_key_file === undefined)
    throw usageError(
      `${name(['peers'])}: is an empty list, and a tunnel without keys needs a peer; give at least one, such as [host-b]`,
    )
  return settled
}

const OTHERS_UNSAID = { peers: undefined, remote: undefined }

/** What to do where a setting that every tunnel needs is missing. */
function howToGive(key: 'local' | 'remote', file: ConfigFile | undefined): string {
  if (file === undefined)
    return 'give an overlay address and the remote, such as: udptun-fast start 10.9.0.1 198.51.100.2'
  return file.examples[key]
}

function explainIssue(
  issues: readonly z.core.$ZodIssue[],
  values: Readonly<Record<string, unknown>>,
  name: (path: SettingPath) => string,
  file: ConfigFile | undefined,
): string {
  // A misspelt key comes first: it is the cause if the right key is missing.
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]
  const path = issue.path as SettingPath
  if (issue.code === 'unrecognized_keys') {
    const [key] = issue.keys
    const known = KEYS_OF_ITEM.get(path[0]) ?? Object.keys(settingsSchema.shape)
    const shown = SETTING_NAME.test(key) ? key : '(no name)'
    const where = `${name([...path, key]).slice(0, -key.length)}${shown}`
    const meant = shown === key ? nearest(key, known) : undefined
    const hint = meant === undefined ? '' : ` (did you mean "${meant}"?)`
    return `${where}: there is no setting "${shown}"${hint}; there are ${known.join(', ')}`
  }
  // The message names a list as a whole, but a setting of a peer or rule by itself. A peer that is a plain text is its
  // endpoint.
  const named = path.slice(0, KEYS_OF_ITEM.has(path[0]) ? 3 : 1)
  const value = named.reduce<unknown>(
    (it, key) => (typeof it === 'string' ? it : (it as Record<string, unknown> | undefined)?.[key]),
    values,
  )
  if (value === undefined || value === null) {
    const [key] = named
    const what =
      key === 'local' || key === 'remote' ? howToGive(key, file) : 'give it a value or leave it out'
    return `${name(named)} is missing; ${what}`
  }
  const hidden = issue.code === 'custom' || SECRET_SETTINGS.has(named.at(-1))
  return `${name(named)}: ${hidden ? issue.message : `${shownValue(value)} is not right; ${issue.message}`}`
}

/** The lists whose items have settings of their own. */
const KEYS_OF_ITEM: ReadonlyMap<unknown, readonly string[]> = new Map([
  ['peers', PEER_KEYS],
  ['allow', RULE_KEYS],
])

/** A name that may be a misspelt setting. Any other text could be a secret. */
const SETTING_NAME = /^[a-z][a-z_-]{0,31}$/i

/** Does not show a map, because it may contain secrets under any name. */
function shownValue(value: unknown): string {
  if (Array.isArray(value))
    return value.some((it) => it instanceof Object) ? 'this list' : JSON.stringify(value)
  return value instanceof Object ? 'this' : JSON.stringify(value)
}

/** The setting as the person wrote it: `file.yaml:3: mtu` or `--mtu`, or only the key for an argument. */
function nameOf(
  path: SettingPath,
  flags: Readonly<Record<string, unknown>>,
  file: ConfigFile | undefined,
): string {
  const [key] = path
  if (Object.hasOwn(flags, key)) {
    if (key === 'peers') return '--peer'
    if (key === 'public_key') return '--peer-key'
    return key === 'local' || key === 'remote' ? key : `--${String(key).replaceAll('_', '-')}`
  }
  const written = path
    .map((it) => (typeof it === 'number' ? `[${it}]` : `.${it}`))
    .join('')
    .slice(1)
  const line = file?.lineOf(path)
  if (file === undefined) return written
  return `${file.path}:${line === undefined ? '' : `${line}:`} ${written}`
}
