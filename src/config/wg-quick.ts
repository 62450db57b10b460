import { usageError } from '../errors.js'
import { openToOthers, readSecretFile } from './key-file.js'
import { Secret } from './secret.js'
import { linesOf } from './wg-lines.js'
import { type WgQuickFile, type WgQuickOptions, WgReader } from './wg-reader.js'

const MAX_BYTES = 1024 * 1024

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

/**
 * Reads a wg-quick(8) file: `[Interface]` once, `[Peer]` for each peer.
 * @throws UserError (exit code 2), with the line
 */
export function readWgQuick(path: string, options: WgQuickOptions = {}): WgQuickFile {
  const { bytes, open } = readWgQuickBytes(path, { about: '--wireguard: ' })
  try {
    const file = Secret.wipedOnError(() => parseWgQuick(path, bytes, options))
    return open === undefined ? file : { ...file, warnings: [open, ...file.warnings] }
  } finally {
    bytes.fill(0)
  }
}

/**
 * Reads such a file whole.
 * @param naming `about` begins the sentence about a file that cannot be read; `called` is its name in that sentence
 * @returns bytes that the caller wipes; and a sentence if other users can read the file
 * @throws UserError (exit code 2)
 */
export function readWgQuickBytes(
  path: string,
  { about = '', called }: { readonly about?: string; readonly called?: string },
): { bytes: Buffer; open: string | undefined } {
  let open: string | undefined
  let bytes: Buffer
  try {
    const checkMode = (mode: number) => {
      open = openToOthers(path, mode)
    }
    bytes = readSecretFile(path, MAX_BYTES, { checkMode, called })
  } catch (error) {
    throw usageError(`${about}${(error as Error).message}`)
  }
  if (bytes.length < MAX_BYTES) return { bytes, open }
  bytes.fill(0)
  throw usageError(`${path} is longer than any file for wg-quick; check it`)
}

/**
 * A line with a secret never becomes a string, because a string cannot be wiped. No message repeats the text in
 * the place of a key's name: a secret key may be on a line of its own, or directly follow the name.
 * @param path only for messages
 * @param bytes are changed; the caller wipes them
 */
export function parseWgQuick(path: string, bytes: Buffer, options: WgQuickOptions = {}): WgQuickFile {
  const reader = new WgReader(path, options)
  if (bytes.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK))
    throw reader.fail(
      1,
      'the file begins with a byte-order mark, and wg does not take that either; save it without',
    )
  for (const [number, line] of linesOf(bytes)) reader.read(number, line)
  return reader.finish()
}
