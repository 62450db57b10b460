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

/** The contents of a configuration file: plain values, and the line of each setting. */
export interface ConfigFile {
  readonly path: string
  readonly values: Readonly<Record<string, unknown>>
  lineOf(path: SettingPath): number | undefined
}

/** Reads a YAML file. @throws UserError (exit code 2), with the line if it is known */
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

/** Where a setting begins: at its key, or in a list at its value. If it is absent, where its parent begins. */
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
    // The message about an alias includes its name, which may be a key.
    throw usageError(
      `${path}: this is not valid YAML (an alias stands for nothing before it, or for too much); mend it`,
    )
  }
}

/** Texts for mistakes whose usual message repeats what was written. That may be a secret. */
const WITHOUT_SOURCE: Partial<Record<ErrorCode, string>> = {
  BAD_ALIAS: 'an alias of that name cannot be',
  BAD_COLLECTION_TYPE: 'a tag is for something else',
  BAD_DIRECTIVE: 'a line that begins with % is none that YAML has',
  BAD_DQ_ESCAPE: 'there is no such escape; in double quotes write two backslashes for one',
  BAD_SCALAR_START: 'a value cannot begin so without quotes',
  TAG_RESOLVE_FAILED: 'there is no such tag; a value that begins with ! needs quotes',
  UNEXPECTED_TOKEN: 'something stands where nothing can',
}

/** @param error the first one that the parser found */
function whatIsWrong({ code, message }: { code: ErrorCode; message: string }): string {
  return WITHOUT_SOURCE[code] ?? message
}

/**
 * The settings from a file and flags, both under the keys of the schema. A flag wins.
 * @throws UserError (exit code 2): one sentence about the first mistake, with the line of the file or the flag
 */
export function loadSettings(flags: Readonly<Record<string, unknown>>, file?: ConfigFile): Settings {
  const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined))
  // `peers` and `remote` are two forms of one setting. A flag of either form replaces both.
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
  // A misspelt key comes first: it is the cause if the right key is missing.
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]
  const path = issue.path as SettingPath
  if (issue.code === 'unrecognized_keys') {
    const [key] = issue.keys
    const known = path.length === 0 ? Object.keys(settingsSchema.shape) : PEER_KEYS
    const shown = SETTING_NAME.test(key) ? key : '(no name)'
    const where = `${name([...path, key]).slice(0, -key.length)}${shown}`
    return `${where}: there is no setting "${shown}"; there are ${known.join(', ')}`
  }
  // The message names a list as a whole, but a peer's setting by itself. A peer that is a plain text is its
  // endpoint.
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
  return file === undefined || line === undefined ? written : `${file.path}:${line}: ${written}`
}
