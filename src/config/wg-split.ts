import { secretBytes } from '../key-text.js'
import { isSpace, trimmed } from './key-file.js'

/** Commands that wg-quick(8) runs. */
export const HOOKS = ['PreUp', 'PostUp', 'PreDown', 'PostDown'] as const

export type HookName = (typeof HOOKS)[number]

/** Keys of `[Interface]` that wg-quick(8) reads itself. It takes no white space within their names. */
export const QUICK_KEYS = ['Address', 'MTU', 'DNS', 'Table', 'SaveConfig', ...HOOKS] as const

const OWN: ReadonlySet<string> = new Set(QUICK_KEYS.map((it) => it.toLowerCase()))

const NEWLINE = 0x0a
const HASH = 0x23
const EQUALS = 0x3d
const OPENING_BRACKET = 0x5b
const SPACE = 0x20
const TAB = 0x09

/**
 * What `wg-quick strip` prints of a file: without wg-quick's own keys, so that wg(8) takes it. Comments stay, and white
 * space around a line goes. One more newline is at the end.
 * @param bytes stay as they are; the caller wipes them
 * @returns bytes that the caller wipes, because keys are among them
 * @throws RangeError with the number of the line, if SaveConfig has a value that wg-quick refuses
 */
export function stripWgQuick(bytes: Buffer): Buffer {
  const stripped = secretBytes(bytes.length + 2)
  let length = 0
  let isInterface = false
  for (let start = 0, number = 1; start < bytes.length; number++) {
    const newline = bytes.indexOf(NEWLINE, start)
    const end = newline < 0 ? bytes.length : newline
    const line = withoutBlanks(bytes.subarray(start, end))
    start = end + 1
    // bash takes a last line without a newline only if something is in it.
    if (newline < 0 && line.length === 0) break
    const { key, value } = keyOf(line)
    if (key[0] === OPENING_BRACKET) isInterface = isText(key, '[interface]')
    if (isInterface && isOwnKey(key)) {
      if (isText(key, 'saveconfig') && !isText(value, 'true') && !isText(value, 'false'))
        throw new RangeError(`${number}: SaveConfig is neither true nor false`)
      continue
    }
    length += line.copy(stripped, length)
    stripped[length++] = NEWLINE
  }
  stripped[length++] = NEWLINE
  return stripped.subarray(0, length)
}

/** A line without spaces and tabs at its ends. A carriage return stays. */
function withoutBlanks(line: Buffer): Buffer {
  let start = 0
  let end = line.length
  while (start < end && isBlank(line[start])) start++
  while (end > start && isBlank(line[end - 1])) end--
  return line.subarray(start, end)
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB
}

/** What stands before the first equals sign, and after it; the whole line is both if there is none. */
function keyOf(line: Buffer): { readonly key: Buffer; readonly value: Buffer } {
  const hash = line.indexOf(HASH)
  const said = hash < 0 ? line : line.subarray(0, hash)
  const equals = said.indexOf(EQUALS)
  if (equals < 0) return { key: trimmed(said), value: trimmed(said) }
  return { key: trimmed(said.subarray(0, equals)), value: trimmed(said.subarray(equals + 1)) }
}

/** A longer text is no key, and may be a secret, which must not become a string. */
function isOwnKey(key: Buffer): boolean {
  return (
    key.length <= 'SaveConfig'.length && !key.some(isSpace) && OWN.has(key.toString('latin1').toLowerCase())
  )
}

function isText(bytes: Buffer, text: string): boolean {
  return bytes.length === text.length && bytes.toString('latin1').toLowerCase() === text
}
