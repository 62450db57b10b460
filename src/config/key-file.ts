import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { makeUndumpable } from '../linux/process.js'
import { parseKey, withoutKey } from '../noise/key-text.js'
import { Secret } from './secret.js'

/** Longer than any key file with a line or two of comment. */
const MAX_BYTES = 4096

const OTHERS = 0o077

/**
 * Refuses a file with a secret in it that others than its owner may read or write.
 * @throws RangeError: the rest of a sentence that starts with the setting's name
 */
export function refuseOpenToOthers(path: string, mode: number): void {
  if ((mode & OTHERS) === 0) return
  const octal = (mode & 0o777).toString(8).padStart(3, '0')
  throw new RangeError(
    `"${path}" can be read or written by others than its owner (mode ${octal}); mend that with: chmod 600 ${path}`,
  )
}

/**
 * Reads a secret file whole, into memory that the caller wipes; of this process there is no core dump from then on.
 * @throws RangeError, as above
 */
export function readSecretFile(path: string, maxBytes: number): Buffer {
  makeUndumpable()
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch (error) {
    throw new RangeError(
      `"${path}" cannot be read (${(error as NodeJS.ErrnoException).code}); check its name and who may read it`,
    )
  }
  try {
    refuseOpenToOthers(path, fstatSync(fd).mode)
    const buffer = Buffer.alloc(maxBytes)
    let length = 0
    try {
      for (let got = -1; got !== 0 && length < maxBytes; length += got)
        got = readSync(fd, buffer, length, maxBytes - length, null)
    } catch (error) {
      throw new RangeError(`"${path}" cannot be read (${(error as NodeJS.ErrnoException).code})`)
    }
    return buffer.subarray(0, length)
  } finally {
    closeSync(fd)
  }
}

/**
 * A private or preshared key, in base64 as `udptun-fast keygen` and `wg genkey` print it.
 * @throws RangeError: the rest of a sentence that starts with the setting's name
 */
export function readKeyFile(path: string): Secret {
  if (withoutKey(path) !== path)
    throw new RangeError(
      '"(a key)" is to be written to a file, and the name of that file here; anybody can see this',
    )
  const bytes = readSecretFile(path, MAX_BYTES)
  try {
    const key = parseKey(bytes.toString('latin1').trim())
    if (key !== undefined) return new Secret(key)
  } finally {
    bytes.fill(0)
  }
  throw new RangeError(
    `"${path}" does not hold a key, which is one line of 44 characters; make one with: udptun-fast keygen > ${path}`,
  )
}
