import { closeSync, fstatSync, openSync, readSync, type Stats } from 'node:fs'
import { isatty } from 'node:tty'
import { looksLikeKey, parseKey, secretBytes } from '../key-text.js'
import { makeUndumpable } from '../linux/process.js'
import { Secret } from './secret.js'

/** Longer than any key file with a line or two of comment. */
const MAX_BYTES = 4096

const OTHERS = 0o077

const ROOT = 0

/** A sentence if users other than its owner may read or write a file; else undefined. */
export function openToOthers(path: string, mode: number): string | undefined {
  if ((mode & OTHERS) === 0) return undefined
  const octal = (mode & 0o777).toString(8).padStart(3, '0')
  return `"${path}" can be read or written by others than its owner (mode ${octal}); mend that with: chmod 600 ${path}`
}

/**
 * Refuses a file with a secret if users other than its owner may read or write it.
 * @throws RangeError: the rest of a sentence that starts with the name of the setting
 */
export function refuseOpenToOthers(path: string, mode: number): void {
  const sentence = openToOthers(path, mode)
  if (sentence !== undefined) throw new RangeError(sentence)
}

/**
 * Refuses a file that belongs neither to root nor to the caller. Its owner knows the secret and can replace it.
 */
function refuseOfAnother(path: string, owner: number): void {
  if (ownersAllowed().includes(owner)) return
  throw new RangeError(
    `"${path}" is another user's (uid ${owner}), who can read and change it; mend that with: chown ${process.geteuid?.() ?? ROOT} ${path}`,
  )
}

/**
 * Refuses a folder or a device, before its mode is looked at: no chmod makes it a file. What comes through a pipe or from
 * a terminal is read like a file.
 */
function refuseNoFile(path: string, fd: number, stats: Stats): void {
  if (stats.isDirectory()) throw new RangeError(`"${path}" is a folder; give the name of a file in it`)
  if (stats.isBlockDevice() || (stats.isCharacterDevice() && !isatty(fd)))
    throw new RangeError(`"${path}" is a device, and no file; check its name`)
}

/** Root, the user of this process, and the user who called it through sudo(8). */
function ownersAllowed(): readonly number[] {
  const self = process.geteuid?.() ?? ROOT
  const { SUDO_UID } = process.env
  return self === ROOT && SUDO_UID !== undefined && /^\d+$/.test(SUDO_UID)
    ? [ROOT, Number(SUDO_UID)]
    : [ROOT, self]
}

interface SecretFileOptions {
  /** Is given the file's mode, and refuses it by a RangeError. */
  readonly checkMode?: (mode: number) => void
  /** What a file that cannot be opened is called. The default is not its name, which may be the secret itself. */
  readonly called?: string | undefined
}

/**
 * Reads a whole secret file into memory that the caller must wipe. From then on this process writes no core
 * dump.
 * @throws RangeError, like {@link refuseOpenToOthers}
 */
export function readSecretFile(
  path: string,
  maxBytes: number,
  {
    checkMode = (mode) => refuseOpenToOthers(path, mode),
    called = 'the file that it names',
  }: SecretFileOptions = {},
): Buffer {
  makeUndumpable()
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch (error) {
    throw new RangeError(
      `${called} cannot be read (${(error as NodeJS.ErrnoException).code}); check its name and who may read it`,
    )
  }
  try {
    const stats = fstatSync(fd)
    refuseNoFile(path, fd, stats)
    checkMode(stats.mode)
    refuseOfAnother(path, stats.uid)
    const buffer = secretBytes(maxBytes)
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
 * Reads a private or preshared key, in base64 as `udptun-fast keygen` and `wg genkey` print it.
 * @throws RangeError: the rest of a sentence that starts with the name of the setting
 */
export function readKeyFile(path: string): Secret {
  if (looksLikeKey(path))
    throw new RangeError(
      'this is a key, and anybody can see it here; write it to a file, and give the name of that file',
    )
  const bytes = readSecretFile(path, MAX_BYTES)
  try {
    const key = parseKey(trimmed(bytes))
    if (key?.every((byte) => byte === 0))
      throw new RangeError(`"${path}" holds a key of zeros, which means that there is none; write a real key`)
    if (key !== undefined) return new Secret(key)
  } finally {
    bytes.fill(0)
  }
  // It may be a file of another kind, so the advice must not write over it.
  throw new RangeError(
    `"${path}" does not hold a key, which is one line of 44 characters; check its name; for a new key: udptun-fast keygen > <a new file>`,
  )
}

/** The bytes without the white space around them, in the same memory. */
export function trimmed(bytes: Buffer): Buffer {
  let start = 0
  let end = bytes.length
  while (start < end && isSpace(bytes[start])) start++
  while (end > start && isSpace(bytes[end - 1])) end--
  return bytes.subarray(start, end)
}

export function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)
}
