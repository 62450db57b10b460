import { readFileSync } from 'node:fs'
import { type Document, isMap, LineCounter, parseDocument, type Scalar } from 'yaml'
import { usageError } from '../errors.js'
import { conflict, type Settings, settingsSchema } from './schema.js'

/** A configuration file as it was read: plain values, and the line each key stands on. */
export interface ConfigFile {
  readonly path: string
  readonly values: Readonly<Record<string, unknown>>
  lineOf(key: string): number | undefined
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
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false })
  if (document.errors.length > 0) {
    const [first] = document.errors
    const { line } = lines.linePos(first.pos[0])
    throw usageError(`${path}:${line}: this is not valid YAML (${first.message}); mend it`)
  }
  const values = plainValues(document, path)
  const keys = new Map<string, number>()
  if (isMap<Scalar>(document.contents)) {
    for (const { key } of document.contents.items) {
      if (key.range) keys.set(String(key.value), lines.linePos(key.range[0]).line)
    }
  } else if (values !== null) {
    throw usageError(`${path} must hold "key: value" lines, such as "remote: host-b"`)
  }
  return { path, values: values ?? {}, lineOf: (key) => keys.get(key) }
}

function plainValues(document: Document, path: string): Record<string, unknown> | null {
  try {
    return document.toJS()
  } catch (error) {
    throw usageError(`${path}: this is not valid YAML (${(error as Error).message}); mend it`)
  }
}

/**
 * The settings from a file and flags, both by the schema's keys; a flag wins.
 * @throws UserError (exit code 2): one sentence about the first thing wrong, with the file's line or the flag
 */
export function loadSettings(flags: Readonly<Record<string, unknown>>, file?: ConfigFile): Settings {
  const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined))
  const parsed = settingsSchema.safeParse({ ...file?.values, ...given })
  const name = (key: string) => nameOf(key, given, file)
  if (parsed.success) {
    const wrong = conflict(parsed.data)
    if (wrong !== undefined) throw usageError(`${name(wrong[0])}: ${wrong[1]}`)
    return parsed.data
  }
  // A misspelt key is what is wrong, not that the right one is missing.
  const { issues } = parsed.error
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]
  if (issue.code === 'unrecognized_keys') {
    const [key] = issue.keys
    const known = Object.keys(settingsSchema.shape).join(', ')
    throw usageError(`${name(key)}: there is no setting "${key}"; there are ${known}`)
  }
  const key = String(issue.path[0] ?? '')
  const value = { ...file?.values, ...given }[key]
  if (value === undefined || value === null) {
    throw usageError(`${name(key)} is missing; ${MISSING[key] ?? 'give it a value or leave it out'}`)
  }
  throw usageError(`${name(key)}: ${explain(issue.message, value)}`)
}

const MISSING: Readonly<Record<string, string>> = {
  local: 'give an overlay address and the remote, such as: udptun-fast start 10.9.0.1 198.51.100.2',
  remote: 'give an overlay address and the remote, such as: udptun-fast start 10.9.0.1 198.51.100.2',
}

/** Messages from values.ts name the value and what to do; those of the schema itself only what to do. */
function explain(message: string, value: unknown): string {
  return message.startsWith('"') ? message : `${JSON.stringify(value)} is not right; ${message}`
}

/** How the person wrote the setting: `file.yaml:3: mtu` or `--mtu`, or the bare key for an argument. */
function nameOf(key: string, flags: Readonly<Record<string, unknown>>, file: ConfigFile | undefined): string {
  if (Object.hasOwn(flags, key))
    return key === 'local' || key === 'remote' ? key : `--${key.replaceAll('_', '-')}`
  const line = file?.lineOf(key)
  return file === undefined || line === undefined ? key : `${file.path}:${line}: ${key}`
}
