import { readFileSync } from 'node:fs'
import {
  type Document,
  type ErrorCode,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
} from 'yaml'
import type { z } from 'zod'
import { usageError } from '../errors.js'
import {
  isConflict,
  PEER_KEYS,
  SECRET_SETTINGS,
  type SettingPath,
  type Settings,
  settingsSchema,
  settle,
} from './schema.js'

/** A configuration file as it was read: plain values, and the line each setting stands on. */
export interface ConfigFile {
  readonly path: string
  readonly values: Readonly<Record<string, unknown>>
  lineOf(path: SettingPath): number | undefined
}

/** Reads a YAML file. @throws UserError (exit code 2), with the line where there is one */
export function readConfigFile(path: string): ConfigFile {
  let source: string
  try {
    source = readFileSync(path, 'utf8')
  } catch (error) {
    throw usageError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code}); check --config`)
  }
  const lines = new LineCounter()
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false, logLevel: 'error' })
  if (document.errors.length > 0) {
    const [first] = document.errors
    const { line } = lines.linePos(first.pos[0])
    throw usageError(`${path}:${line}: this is not valid YAML (${whatIsWrong(first)}); mend it`)
  }
  const values = plainValues(document, path)
  if (!isMap(document.contents) && values !== null) {
    throw usageError(`${path} must hold "key: value" lines, such as "remote: host-b"`)
  }
  const lineOf = (wanted: SettingPath) => {
    const at = offsetOf(document, wanted)
    return at === undefined ? undefined : lines.linePos(at).line
  }
  return { path, values: values ?? {}, lineOf }
}

/** Where a setting begins: at its key, or in a list at its value; or else what it would stand in does. */
function offsetOf(document: Document, path: SettingPath): number | undefined {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)
  const last = path[path.length - 1]
  if (isMap(parent)) {
    const key = parent.items
      .map(({ key }) => key)
      .find((it) => isScalar(it) && String(it.value) === String(last))
    if (isScalar(key) && key.range) return key.range[0]
  } else if (isSeq(parent)) {
    const item = parent.items[Number(last)]
    if (isNode(item) && item.range) return item.range[0]
  }
  return path.length > 1 ? offsetOf(document, path.slice(0, -1)) : undefined
}

function plainValues(document: Document, path: string): Record<string, unknown> | null {
  try {
    return document.toJS()
  } catch {
    // That of an alias has the name in it, which may be a key.
    throw usageError(
      `${path}: this is not valid YAML (an alias stands for nothing before it, or for too much); mend it`,
    )
  }
}

/** Of mistakes whose messages have in them what was written, which may be a secret: what is said in their place. */
const WITHOUT_SOURCE: Partial<Record<ErrorCode, string>> = {
  BAD_ALIAS: 'an alias of that name cannot be',
  BAD_COLLECTION_TYPE: 'a tag is for something else',
  BAD_DIRECTIVE: 'a line that begins with % is none that YAML has',
  BAD_DQ_ESCAPE: 'there is no such escape; in double quotes write two backslashes for one',
  BAD_SCALAR_START: 'a value cannot begin so without quotes',
  TAG_RESOLVE_FAILED: 'there is no such tag; a value that begins with ! needs quotes',
  UNEXPECTED_TOKEN: 'something stands where nothing can',
}

/** @param error the first that the parser has found */
function whatIsWrong({ code, message }: { code: ErrorCode; message: string }): string {
  return WITHOUT_SOURCE[code] ?? message
}

/**
 * The settings from a file and flags, both by the schema's keys; a flag wins.
 * @throws UserError (exit code 2): one sentence about the first thing wrong, with the file's line or the flag
 */
export function loadSettings(flags: Readonly<Record<string, unknown>>, file?: ConfigFile): Settings {
  const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined))
  // The other hosts are one setting with two forms: a flag's wins over either.
  const others = Object.hasOwn(given, 'peers') || Object.hasOwn(given, 'remote') ? OTHERS_UNSAID : {}
  const values: Record<string, unknown> = { ...file?.values, ...others, ...given }
  const name = (path: SettingPath) => nameOf(path, given, file)
  const parsed = settingsSchema.safeParse(values)
  if (!parsed.success) throw usageError(explainIssue(parsed.error.issues, values, name))
  const settled = settle(parsed.data)
  if (isConflict(settled)) throw usageError(`${name(settled[0])}: ${settled[1]}`)
  if (settled.peers.length === 0) throw usageError(`${name(['remote'])} is missing; ${MISSING}`)
  return settled
}

const OTHERS_UNSAID = { peers: undefined, remote: undefined }

const MISSING = 'give an overlay address and the remote, such as: udptun-fast start 10.9.0.1 198.51.100.2'

function explainIssue(
  issues: readonly z.core.$ZodIssue[],
  values: Readonly<Record<string, unknown>>,
  name: (path: SettingPath) => string,
): string {
  // A misspelt key is what is wrong, not that the right one is missing.
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]
  const path = issue.path as SettingPath
  if (issue.code === 'unrecognized_keys') {
    const [key] = issue.keys
    const known = path.length === 0 ? Object.keys(settingsSchema.shape) : PEER_KEYS
    const shown = SETTING_NAME.test(key) ? key : '(no name)'
    const where = `${name([...path, key]).slice(0, -key.length)}${shown}`
    return `${where}: there is no setting "${shown}"; there are ${known.join(', ')}`
  }
  // A list is named as a whole, a peer's setting by itself; a peer that is a bare text is its endpoint.
  const named = path[0] === 'peers' ? path.slice(0, 3) : path.slice(0, 1)
  const value = named.reduce<unknown>(
    (it, key) => (typeof it === 'string' ? it : (it as Record<string, unknown> | undefined)?.[key]),
    values,
  )
  if (value === undefined || value === null) {
    const what = named[0] === 'local' || named[0] === 'remote' ? MISSING : 'give it a value or leave it out'
    return `${name(named)} is missing; ${what}`
  }
  const hidden = issue.code === 'custom' || SECRET_SETTINGS.has(named.at(-1))
  return `${name(named)}: ${hidden ? issue.message : `${shownValue(value)} is not right; ${issue.message}`}`
}

/** What may be a misspelt setting; else it may be anything, a secret too. */
const SETTING_NAME = /^[a-z][a-z_-]{0,31}$/i

/** A map is not shown: there may be secrets in it, by whatever names. */
function shownValue(value: unknown): string {
  if (Array.isArray(value))
    return value.some((it) => it instanceof Object) ? 'this list' : JSON.stringify(value)
  return value instanceof Object ? 'this' : JSON.stringify(value)
}

/** How the person wrote the setting: `file.yaml:3: mtu` or `--mtu`, or the bare key for an argument. */
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
  return file === undefined || line === undefined ? written : `${file.path}:${line}: ${written}`
}
