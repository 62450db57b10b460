import { constants } from 'node:fs'
import { open, rename, rm, stat } from 'node:fs/promises'
import { UserError } from '../errors.js'

/** Only its owner may read a file with keys. */
const MODE = 0o600

/**
 * Puts other content into a file, whose owner stays. Whoever reads it meanwhile gets all of the old or all of the new
 * content, also after a loss of power.
 * @param mode without it, only the owner may read and write the file
 * @throws UserError; the file is as it was then
 */
export async function replaceFile(path: string, bytes: Uint8Array, mode = MODE): Promise<void> {
  const next = `${path}.tmp`
  try {
    const before = await stat(path)
    if (!before.isFile()) throw new UserError(`${path} is not a regular file, so it cannot be written`)
    // What an interrupted call has left, or what somebody else has put there, is not written into.
    await rm(next, { force: true })
    const file = await open(next, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, mode)
    try {
      await file.chown(before.uid, before.gid)
      await file.chmod(mode)
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(next, path)
  } catch (error) {
    await rm(next, { force: true }).catch(() => {})
    if (error instanceof UserError) throw error
    const { code } = error as NodeJS.ErrnoException
    throw new UserError(`${path} cannot be written (${code}); it is as it was`)
  }
}
