import { usageError } from '../errors.js'
import { parseKey } from '../key-text.js'
import { readSecretFile, trimmed } from './key-file.js'
import type { ConfigFile } from './load.js'
import type { SettingPath } from './schema.js'
import { Secret } from './secret.js'

const MAX_BYTES = 1024 * 1024

/** Keys of wg-quick(8) and wg(8) that are used here, and the setting that each becomes. */
const INTERFACE: Readonly<Record<string, string>> = {
  PrivateKey: 'private_key_file',
  Address: 'local',
  ListenPort: 'listen',
  MTU: 'mtu',
}
const PEER: Readonly<Record<string, string>> = {
  PublicKey: 'public_key',
  PresharedKey: 'preshared_key_file',
  Endpoint: 'endpoint',
  AllowedIPs: 'prefixes',
  PersistentKeepalive: 'persistent_keepalive',
}

/** The setting for a key. Upper and lower case are equal. */
function settingOf(keys: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.entries(keys).find(([name]) => name.toLowerCase() === key)?.[1]
}

const NEWLINE = 0x0a
const HASH = 0x23
const EQUALS = 0x3d

/** Keys of wg-quick(8) about the rest of the system, and what to say about each. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  dns: 'name servers are not set here; set them with the system, such as with resolvectl',
  table: 'routes are not set here; set them with: ip route',
  preup: 'commands are not run here; run it yourself',
  postup: 'commands are not run here; run it yourself',
  predown: 'commands are not run here; run it yourself',
  postdown: 'commands are not run here; run it yourself',
  saveconfig: 'this file is never written; write saveconfig = false or leave it out',
  fwmark: 'packets are not marked here; leave it out',
}

/** Values of such keys that change nothing here, so they are accepted. */
const HARMLESS: Readonly<Record<string, string>> = { saveconfig: 'false', table: 'off', fwmark: 'off' }

/** Keys that can be ignored because the tunnel works without them. The log says so. */
const IGNORED: ReadonlySet<string> = new Set(['dns'])

/**
 * A file in the format of wg-quick(8), as settings. `ignored` has one sentence for each line that was ignored.
 */
export interface WgQuickFile extends ConfigFile {
  readonly ignored: readonly string[]
}

/**
 * Reads a wg-quick(8) file: `[Interface]` once, `[Peer]` for each peer.
 * @throws UserError (exit code 2), with the line
 */
export function readWgQuick(path: string): WgQuickFile {
  let bytes: Buffer
  try {
    bytes = readSecretFile(path, MAX_BYTES)
  } catch (error) {
    throw usageError(`--wireguard: ${(error as Error).message}`)
  }
  try {
    return Secret.wipedOnError(() => parseWgQuick(path, bytes))
  } finally {
    bytes.fill(0)
  }
}

/**
 * A line with a secret never becomes a string, because a string cannot be wiped. No message repeats the text in
 * the place of a key's name: a secret key may be on a line of its own, or directly follow the name.
 * @param path only for messages
 */
export function parseWgQuick(path: string, bytes: Buffer): WgQuickFile {
  const values: Record<string, unknown> = { mode: 'tun' }
  const peers: Record<string, unknown>[] = []
  const lines = new Map<string, number>()
  const ignored: string[] = []
  let section: 'interface' | 'peer' | undefined
  for (const [number, line] of linesOf(bytes)) {
    const fail = (message: string) => usageError(`${path}:${number}: ${message}`)
    const heading = headingOf(line)
    if (heading !== undefined) {
      if (heading !== 'interface' && heading !== 'peer')
        throw fail('there is no such section; there are [Interface] and [Peer]')
      section = heading
      if (section === 'peer') {
        lines.set(`peers.${peers.length}`, number)
        peers.push({})
      }
      continue
    }
    const equals = line.indexOf(EQUALS)
    if (equals < 0) throw fail('this is neither a section nor a line of "Key = value"; mend it')
    if (section === undefined) throw fail('a section must come first; write [Interface] before it')
    const name = trimmed(line.subarray(0, equals)).toString('latin1')
    const key = name.toLowerCase()
    const known = section === 'interface' ? INTERFACE : PEER
    const setting = settingOf(known, key)
    const rest = trimmed(line.subarray(equals + 1))
    if (setting === undefined) {
      const reason = section === 'interface' && Object.hasOwn(ELSEWHERE, key) ? ELSEWHERE[key] : undefined
      if (reason === undefined)
        throw fail(
          `there is no such key in [${titleOf(section)}]; there are ${Object.keys(known).join(', ')}`,
        )
      const value = rest.toString('utf8')
      if (value.toLowerCase() === HARMLESS[key]) continue
      if (IGNORED.has(key)) {
        ignored.push(`${path}:${number}: ${name} is passed over: ${reason}`)
        continue
      }
      throw fail(`${name} cannot be done: ${reason}`)
    }
    const target = section === 'interface' ? values : peers[peers.length - 1]
    const place = section === 'interface' ? setting : `peers.${peers.length - 1}.${setting}`
    if (!lines.has(place)) lines.set(place, number)
    put(target, setting, rest, fail)
  }
  // In our own configuration a single peer without addresses or prefixes has all addresses. In WireGuard it has
  // none.
  if (peers.length === 1 && [peers[0].prefixes ?? []].flat().length === 0)
    throw usageError(
      `${path}:${lines.get('peers.0')}: this peer has no AllowedIPs, so nothing could go there or come from it; AllowedIPs = 0.0.0.0/0, ::/0 is everything`,
    )
  if (peers.length > 0) values.peers = peers
  const lineOf = (wanted: SettingPath): number | undefined =>
    lines.get(wanted.slice(0, 3).join('.')) ?? (wanted.length > 1 ? lineOf(wanted.slice(0, -1)) : undefined)
  return { path, values, lineOf, ignored }
}

/** The lines that are not empty, with their numbers. Comments and surrounding white space are removed. */
function* linesOf(bytes: Buffer): Generator<readonly [number: number, line: Buffer]> {
  for (let start = 0, number = 1; start <= bytes.length; number++) {
    const newline = bytes.indexOf(NEWLINE, start)
    const end = newline < 0 ? bytes.length : newline
    const whole = bytes.subarray(start, end)
    const hash = whole.indexOf(HASH)
    const line = trimmed(hash < 0 ? whole : whole.subarray(0, hash))
    if (line.length > 0) yield [number, line]
    start = end + 1
  }
}

/** The text in brackets, in lower case; undefined if the line is not in brackets. */
function headingOf(line: Buffer): string | undefined {
  if (line[0] !== 0x5b || line.at(-1) !== 0x5d) return undefined
  return line.subarray(1, -1).toString('latin1').toLowerCase()
}

function titleOf(section: 'interface' | 'peer'): string {
  return section === 'interface' ? 'Interface' : 'Peer'
}

const TWICE = 'this is said twice; leave one of them out'

/** Lists may be on one line or on several. Everything else may be given only once. */
function put(
  target: Record<string, unknown>,
  setting: string,
  bytes: Buffer,
  fail: (message: string) => Error,
): void {
  if (setting === 'private_key_file' || setting === 'preshared_key_file') {
    if (target[setting] !== undefined) throw fail(TWICE)
    const key = parseKey(bytes)
    if (key === undefined)
      throw fail('this is not a key, which has 44 characters; check that all of it is there')
    target[setting] = new Secret(key)
    return
  }
  const value = bytes.toString('utf8')
  if (setting === 'local' || setting === 'prefixes') {
    const list = value
      .split(',')
      .map((it) => it.trim())
      .filter((it) => it !== '')
    const whole = setting === 'local' ? list.map(withPrefix) : list
    target[setting] = [...((target[setting] as string[] | undefined) ?? []), ...whole]
    return
  }
  if (target[setting] !== undefined) throw fail(TWICE)
  if (setting === 'persistent_keepalive') {
    target[setting] = value.toLowerCase() === 'off' ? 0 : value
  } else target[setting] = value
}

/** An address without a prefix stands for one host. */
function withPrefix(address: string): string {
  if (address.includes('/')) return address
  return `${address}/${address.includes(':') ? 128 : 32}`
}
