import { isSpace, trimmed } from './key-file.js'

/**
 * The lines of a file for wg-quick(8), as wg(8) cuts them. A line is a part of the file's own memory, because it may
 * have a key in it: whoever wipes the file wipes its lines.
 */

const NEWLINE = 0x0a
const HASH = 0x23
const OPENING_BRACKET = 0x5b
const CLOSING_BRACKET = 0x5d

/** The lines that are not empty, with their numbers. Comments and surrounding white space are removed. */
export function* linesOf(bytes: Buffer): Generator<readonly [number: number, line: Buffer]> {
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

/** The text in brackets, in lower case and without white space; undefined if the line is not in brackets. */
export function headingOf(line: Buffer): string | undefined {
  if (line[0] !== OPENING_BRACKET || line.at(-1) !== CLOSING_BRACKET) return undefined
  return line.subarray(1, -1).toString('latin1').toLowerCase().replace(/\s/g, '')
}

/** The bytes without any white space, in the same memory. wg removes all of it before it reads a line. */
export function squeezed(bytes: Buffer): Buffer {
  let length = 0
  for (const byte of bytes) if (!isSpace(byte)) bytes[length++] = byte
  return bytes.subarray(0, length)
}

/** The same as text: only for what is no secret, because a text cannot be wiped. */
export function squeezedText(bytes: Buffer): string {
  return squeezed(bytes).toString('utf8')
}
