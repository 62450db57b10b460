import { readFileSync } from 'node:fs'
import { isMap, LineCounter, parseDocument, type YAMLMap } from 'yaml'
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
    throw usageError(`${path}:${lines.linePos(first.pos[0]).line}: ${first.message}`)
  }
  const { contents } = document
  if (contents !== null && !isMap(contents)) {
    throw usageError(`${path} must hold "key: value" lines, such as "remote: host-b"`)
  }
  const keys = new Map<string, number>()
  for (const { key } of (contents as YAMLMap<{ value: unknown; range?: [number, number, number] }> | null)
    ?.items ?? []) {
    if (key.range !== undefined) keys.set(String(key.value), lines.linePos(key.range[0]).line)
  }
  return { path, values: document.toJS() ?? {}, lineOf: (key) => keys.get(key) }
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
  const [issue] = parsed.error.issues
  if (issue.code === 'unrecognized_keys') {
    const [key] = issue.keys
    const known = Object.keys(settingsSchema.shape).join(', ')
    throw usageError(`${name(key)}: there is no setting "${key}"; there are ${known}`)
  }
  const key = String(issue.path[0] ?? '')
  const value = { ...file?.values, ...given }[key]
  if (value === undefined) throw usageError(`${key} is missing; ${MISSING[key] ?? 'give it'}`)
  throw usageError(`${name(key)}: ${explain(issue.message, value, key)}`)
}

const MISSING: Readonly<Record<string, string>> = {
  local: 'give an overlay address and the remote, such as: udptun-fast start 10.9.0.1 198.51.100.2',
  remote: 'give an overlay address and the remote, such as: udptun-fast start 10.9.0.1 198.51.100.2',
}

/** Messages from values.ts name the value and what to do; those of zod itself name neither. */
function explain(message: string, value: unknown, key: string): string {
  if (message.startsWith('"') || message.startsWith('needs')) return message
  const options = (settingsSchema.shape as Record<string, { def?: { innerType?: { options?: string[] } } }>)[
    key
  ]?.def?.innerType?.options
  const wanted = options === undefined ? '' : `; use ${options.slice(0, -1).join(', ')} or ${options.at(-1)}`
  return `${JSON.stringify(value)} is not right (${message})${wanted}`
}

/** How the person wrote the setting: `file.yaml:3: mtu` or `--mtu`, or the bare key for an argument. */
function nameOf(key: string, flags: Readonly<Record<string, unknown>>, file: ConfigFile | undefined): string {
  if (key in flags) return key === 'local' || key === 'remote' ? key : `--${key.replaceAll('_', '-')}`
  const line = file?.lineOf(key)
  return file === undefined || line === undefined ? key : `${file.path}:${line}: ${key}`
}
