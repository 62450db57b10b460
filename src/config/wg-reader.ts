import { usageError } from '../errors.js'
import { formatKey } from '../key-text.js'
import { identityOf } from '../noise/keys.js'
import type { SettingPath } from './conflicts.js'
import { trimmed } from './key-file.js'
import type { ConfigFile } from './load.js'
import { parseTable } from './route-tables.js'
import type { Secret } from './secret.js'
import { parseFwMark, parsePublicKey } from './values.js'
import { headingOf, squeezed, squeezedText } from './wg-lines.js'
import { type MergedPeer, mergePeers, type PeerSection } from './wg-peers.js'
import { HOOKS, type HookName, QUICK_KEYS } from './wg-split.js'
import {
  parseAddresses,
  parseAllowedIps,
  parseDeviceMtu,
  parseEndpoint,
  parseKeepaliveS,
  parseListenPort,
  parseNameServers,
  parseSaveConfig,
  parseSecretKey,
} from './wg-values.js'

const EQUALS = 0x3d

/** The others are wg(8)'s. */
const OWN_KEYS: ReadonlySet<string> = new Set(QUICK_KEYS)

export interface WgQuickOptions {
  /** Whether to accept a file with commands, which are not run. */
  readonly skipHooks?: boolean | undefined
  /** Whether to accept a file with commands, which the caller runs. */
  readonly allowHooks?: boolean | undefined
  /** Whether the caller does what `SaveConfig` asks for. */
  readonly saves?: boolean | undefined
}

/** What wg-quick(8) does by a file beside making the tunnel. */
export interface QuickLines {
  /** The commands, in their order. */
  readonly hooks: Readonly<Record<HookName, readonly string[]>>
  /** Whether they may be run. */
  readonly runsHooks: boolean
  /** Whether the running configuration is written into the file at the end. */
  readonly saveConfig: boolean
  readonly givesMtu: boolean
  /** As it is written; empty if nothing is. */
  readonly table: string
}

/** A file in the format of wg-quick(8), as settings. */
export interface WgQuickFile extends ConfigFile {
  /** One sentence for each line that does not do here what it does for wg-quick, or that another one overrides. */
  readonly warnings: readonly string[]
  readonly quick: QuickLines
}

/** What to do if one of these settings is missing. */
const EXAMPLES = {
  local: 'add a line to [Interface] such as: Address = 10.9.0.1/24',
  remote: 'add a [Peer]',
}

/** Takes the lines of a wg-quick(8) file one after the other, and makes settings of them. */
export class WgReader {
  readonly #path: string
  readonly #values: Record<string, unknown> = { mode: 'tun', local: [], dns: [], listen: '0' }
  readonly #lines = new Map<string, number>()
  readonly #sections: PeerSection[] = []
  readonly #warnings: string[] = []
  readonly #options: WgQuickOptions
  readonly #hooks: { readonly line: number; readonly name: HookName; readonly command: string }[] = []
  #saveConfig = false
  #table = ''
  #privateKey: Secret | undefined
  #inside: 'interface' | 'peer' | undefined

  constructor(path: string, options: WgQuickOptions) {
    this.#path = path
    this.#options = options
  }

  fail(line: number, message: string): Error {
    return usageError(`${this.#path}:${line}: ${message}`)
  }

  #warn(line: number, sentence: string): void {
    this.#warnings.push(`${this.#path}:${line}: ${sentence}`)
  }

  /** @throws UserError */
  read(number: number, line: Buffer): void {
    const heading = headingOf(line)
    if (heading !== undefined) {
      if (heading !== 'interface' && heading !== 'peer')
        throw this.fail(number, 'there is no such section; there are [Interface] and [Peer]')
      this.#inside = heading
      if (heading === 'peer') this.#sections.push({ line: number, prefixes: [], lines: new Map() })
      return
    }
    const equals = line.indexOf(EQUALS)
    if (equals < 0) throw this.fail(number, 'this is neither a section nor a line of "Key = value"; mend it')
    const section = this.#inside
    if (section === undefined)
      throw this.fail(number, 'a section must come first; write [Interface] before it')
    const name = trimmed(line.subarray(0, equals)).toString('latin1')
    const rest = trimmed(line.subarray(equals + 1))
    const peer = this.#sections.at(-1)
    const keys = section === 'peer' && peer !== undefined ? this.#peerKeys(peer) : this.#interfaceKeys()
    const lower = name.toLowerCase()
    // wg takes white space anywhere, even within the name of a key.
    const squeezed = lower.replace(/\s/g, '')
    const [known, take] =
      Object.entries(keys).find(([it]) => it.toLowerCase() === (OWN_KEYS.has(it) ? lower : squeezed)) ?? []
    if (known === undefined || take === undefined) {
      const title = section === 'peer' ? 'Peer' : 'Interface'
      throw this.fail(number, `there is no such key in [${title}]; there are ${Object.keys(keys).join(', ')}`)
    }
    if (rest.length === 0 && !OWN_KEYS.has(known))
      throw this.fail(
        number,
        `${known} has no value, and wg does not take that either; give it one or leave it out`,
      )
    try {
      take(rest, number)
    } catch (error) {
      if (error instanceof RangeError) throw this.fail(number, `${known}: ${error.message}`)
      throw error
    }
  }

  /** What each key of `[Interface]` does with its value and the number of its line. */
  #interfaceKeys(): Keys {
    const hook = (name: HookName) => (bytes: Buffer, line: number) =>
      void this.#hooks.push({ name, line, command: bytes.toString('utf8') })
    const set = (key: string, name: string, value: unknown, line: number) => {
      if (this.#lines.has(key)) this.#again(name, line)
      this.#lines.set(key, line)
      this.#values[key] = value
    }
    return {
      PrivateKey: (bytes, line) => {
        const key = parseSecretKey(squeezed(bytes))
        if (key === null) throw new RangeError('a key of zeros means that there is none; write a real key')
        this.#privateKey?.wipe()
        this.#privateKey = key
        set('private_key_file', 'PrivateKey', key, line)
      },
      Address: (bytes, line) => {
        this.#values.local = [...(this.#values.local as string[]), ...parseAddresses(bytes.toString('utf8'))]
        this.#lines.set('local', line)
      },
      ListenPort: (bytes, line) => set('listen', 'ListenPort', parseListenPort(squeezedText(bytes)), line),
      MTU: (bytes, line) => set('mtu', 'MTU', parseDeviceMtu(bytes.toString('utf8')), line),
      DNS: (bytes, line) => {
        this.#values.dns = [...(this.#values.dns as string[]), ...parseNameServers(bytes.toString('utf8'))]
        this.#lines.set('dns', line)
      },
      Table: (bytes, line) => {
        this.#table = bytes.toString('utf8')
        set('table', 'Table', parseTable(this.#table || 'auto'), line)
      },
      FwMark: (bytes, line) => set('fwmark', 'FwMark', parseFwMark(squeezedText(bytes)), line),
      SaveConfig: (bytes, line) => {
        this.#saveConfig = parseSaveConfig(bytes.toString('utf8'))
        if (this.#saveConfig && this.#options.saves !== true)
          this.#warn(line, `SaveConfig is ignored: ${NO_SAVE}`)
      },
      ...Object.fromEntries(HOOKS.map((name) => [name, hook(name)])),
    }
  }

  /** The same of the present `[Peer]`. */
  #peerKeys(peer: PeerSection): Keys {
    const note = (setting: string, name: string, line: number) => {
      if (peer.lines.has(setting)) this.#again(name, line)
      peer.lines.set(setting, line)
    }
    return {
      PublicKey: (bytes, line) => {
        note('public_key', 'PublicKey', line)
        peer.publicKey = formatKey(parsePublicKey(squeezedText(bytes)))
      },
      PresharedKey: (bytes, line) => {
        note('preshared_key_file', 'PresharedKey', line)
        const key = parseSecretKey(squeezed(bytes))
        peer.presharedKey?.wipe()
        peer.presharedKey = key
      },
      Endpoint: (bytes, line) => {
        note('endpoint', 'Endpoint', line)
        peer.endpoint = parseEndpoint(squeezedText(bytes))
      },
      AllowedIPs: (bytes, line) => {
        peer.lines.set('prefixes', line)
        for (const prefix of parseAllowedIps(squeezedText(bytes))) peer.prefixes.push({ prefix, line })
      },
      PersistentKeepalive: (bytes, line) => {
        note('persistent_keepalive', 'PersistentKeepalive', line)
        peer.keepaliveS = parseKeepaliveS(squeezedText(bytes))
      },
    }
  }

  #again(name: string, line: number): void {
    this.#warn(line, `${name} is given twice; this one counts, as in wg`)
  }

  /** @throws UserError */
  finish(): WgQuickFile {
    this.#lookAtHooks()
    for (const { line, publicKey } of this.#sections)
      if (publicKey === undefined)
        throw this.fail(line, 'this peer has no PublicKey, which tells who it is; add it')
    const peers = mergePeers(this.#others(), (line, sentence) => this.#warn(line, sentence))
    for (const [index, peer] of peers.entries())
      for (const [setting, line] of peer.lines)
        this.#lines.set(setting === '' ? `peers.${index}` : `peers.${index}.${setting}`, line)
    const values = { ...this.#values, ...(peers.length > 0 ? { peers: peers.map(settingsOf) } : {}) }
    const lineOf = (wanted: SettingPath): number | undefined =>
      this.#lines.get(wanted.slice(0, 3).join('.')) ??
      (wanted.length > 1 ? lineOf(wanted.slice(0, -1)) : undefined)
    const [path, warnings, quick] = [this.#path, this.#warnings, this.#quickLines()]
    return { path, values, examples: EXAMPLES, lineOf, wireguard: true, warnings, quick }
  }

  #quickLines(): QuickLines {
    const commandsOf = (name: HookName) =>
      this.#hooks.filter((it) => it.name === name).map(({ command }) => command)
    return {
      hooks: {
        PreUp: commandsOf('PreUp'),
        PostUp: commandsOf('PostUp'),
        PreDown: commandsOf('PreDown'),
        PostDown: commandsOf('PostDown'),
      },
      runsHooks: this.#options.allowHooks === true,
      saveConfig: this.#saveConfig,
      givesMtu: this.#values.mtu !== undefined,
      table: this.#table,
    }
  }

  /** The sections but for those with this host's own key, which the kernel's WireGuard drops. */
  #others(): PeerSection[] {
    const key = this.#privateKey
    if (key === undefined) return this.#sections
    const own = formatKey(identityOf(key).publicKey)
    return this.#sections.filter(({ publicKey, presharedKey, line }) => {
      if (publicKey !== own) return true
      presharedKey?.wipe()
      this.#warn(line, "this peer's PublicKey is this host's own, so it is left out, as in wg")
      return false
    })
  }

  #lookAtHooks(): void {
    const { skipHooks, allowHooks } = this.#options
    const [first] = this.#hooks
    if (first === undefined || allowHooks === true) return
    if (skipHooks !== true) {
      const names = [...new Set(this.#hooks.map(({ name }) => name))].join(', ')
      throw this.fail(
        first.line,
        `this file has commands to run (${names}), and one of them may keep traffic from leaving unencrypted. Read them, and give --allow-hooks to run them; or do yourself what they do, and give --skip-hooks`,
      )
    }
    for (const { line, name } of this.#hooks)
      this.#warn(line, `${name} is not run, because of --skip-hooks; do yourself what it does`)
  }
}

type Keys = Readonly<Record<string, (value: Buffer, line: number) => void>>

const NO_SAVE = 'only udptun-fast up and down write the file'

function settingsOf(peer: MergedPeer): Record<string, unknown> {
  return {
    public_key: peer.publicKey,
    preshared_key_file: peer.presharedKey ?? undefined,
    endpoint: peer.endpoint,
    persistent_keepalive: peer.keepaliveS,
    prefixes: [...peer.prefixes],
  }
}
