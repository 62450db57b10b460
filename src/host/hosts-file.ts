import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { replaceFile } from '../config/replace-file.js'
import { UserError } from '../errors.js'
import { tryLock } from '../linux/file-lock.js'

/** For how long another tunnel may write it. */
const TRIES = 100
const TRY_MS = 20

/** hosts(5). */
export const HOSTS_FILE = '/etc/hosts'

/**
 * Changes a file as a whole: it is replaced, and its owner and mode stay. If it cannot be replaced, because something is
 * mounted there, it is written into. Tunnels do this one after the other.
 * @param edit works on Latin-1, so that all bytes stay what they are
 * @throws UserError
 */
export async function editHosts(path: string, edit: (text: string) => string): Promise<void> {
  const { fd, file } = await openLocked(path)
  try {
    const before = readFileSync(file, 'latin1')
    const after = Buffer.from(edit(before), 'latin1')
    if (after.equals(Buffer.from(before, 'latin1'))) return
    try {
      await replaceFile(file, after, fstatSync(fd).mode & 0o7777)
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      writeInto(file, after)
    }
  } finally {
    closeSync(fd)
  }
}

async function openLocked(path: string): Promise<{ fd: number; file: string }> {
  for (let tries = 0; tries < TRIES; tries++) {
    const file = orSentence(path, () => realpathSync(path))
    const fd = orSentence(path, () => openSync(file, 'r'))
    // Another tunnel may just have replaced it.
    if (tryLock(fd) && statSync(file).ino === fstatSync(fd).ino) return { fd, file }
    closeSync(fd)
    await sleep(TRY_MS)
  }
  throw new UserError(`${path} cannot be written, because another program has locked it; end that one`)
}

function writeInto(file: string, bytes: Uint8Array): void {
  orSentence(file, () => {
    const fd = openSync(file, 'r+')
    try {
      writeFileSync(fd, bytes)
      ftruncateSync(fd, bytes.length)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  })
}

function orSentence<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new UserError(`${path} cannot be written (${code}); make it writable`)
  }
}
