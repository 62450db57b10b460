import { closeSync, openSync, readSync } from 'node:fs'
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
import { usageError } from '../errors.js'
import type { SettingPath } from './conflicts.js'
import type { ConfigFile } from './load.js'

/** Longer than any file with the most peers and prefixes. */
const MAX_BYTES = 1024 * 1024

/** Reads a YAML file. @throws UserError (exit code 2), with the line if it is known */
export function readConfigFile(path: string): ConfigFile {
  if (path === '') throw usageError('--config has no name of a file; give one')
  let source: string
  try {
    source = readText(path)
  } catch (error) {
    throw usageError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code}); check --config`)
  }
  if (Buffer.byteLength(source) >= MAX_BYTES)
    throw usageError(`${path} is longer than any file of settings; check --config`)
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
  return { path, values: values ?? {}, examples: EXAMPLES, lineOf }
}

/** At most {@link MAX_BYTES} of a file, because some files have no end. @throws the error of the system call */
function readText(path: string): string {
  const bytes = Buffer.alloc(MAX_BYTES)
  const fd = openSync(path, 'r')
  try {
    let length = 0
    for (let got = -1; got !== 0 && length < MAX_BYTES; length += got)
      got = readSync(fd, bytes, length, MAX_BYTES - length, null)
    return bytes.toString('utf8', 0, length)
  } finally {
    closeSync(fd)
  }
}

const EXAMPLES = {
  local: 'add a line such as: local: [10.9.0.1]',
  remote: 'add a line such as: remote: host-b',
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
      `${path}: this is not valid YAML (an alias refers to nothing before it, or to too much); mend it`,
    )
  }
}

/** Texts for mistakes whose usual message repeats what was written. That may be a secret. */
const WITHOUT_SOURCE: Partial<Record<ErrorCode, string>> = {
  BAD_ALIAS: 'an alias of that name cannot be',
  BAD_COLLECTION_TYPE: 'a tag is for something else',
  BAD_DIRECTIVE: 'YAML has no such line that begins with %',
  BAD_DQ_ESCAPE: 'there is no such escape; in double quotes write two backslashes for one',
  BAD_SCALAR_START: 'a value cannot begin so without quotes',
  TAG_RESOLVE_FAILED: 'there is no such tag; a value that begins with ! needs quotes',
  UNEXPECTED_TOKEN: 'something stands where nothing can',
}

/** @param error the first one that the parser found */
function whatIsWrong({ code, message }: { code: ErrorCode; message: string }): string {
  return WITHOUT_SOURCE[code] ?? message
}
