import {
  closeSync,
  constants,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { join } from 'node:path'

/** A file that is not there is not made. */
const APPEND = constants.O_WRONLY | constants.O_APPEND

const DEFAULT = '/var/lib/udptun-fast'

/** Bits of a mode by which others than the owner may write. */
const WRITABLE_BY_OTHERS = 0o022

/**
 * What this program keeps from one run to the next, a file for each thing. Only this class touches the directory.
 * Without it, or if it is lost, the program works; but an introducer does not know then whom it has invited.
 */
export class StateDirectory {
  readonly path: string

  /** @param environment in which systemd gives the directory (`StateDirectory=`, systemd.exec(5)) */
  constructor(environment: Readonly<Record<string, string | undefined>> = process.env) {
    // There may be several, separated by colons.
    this.path = environment.STATE_DIRECTORY?.split(':')[0] || DEFAULT
  }

  /** The text of a file; undefined if there is none, or if somebody else could have written it. */
  read(name: string): string | undefined {
    try {
      return this.#isOwn() ? readFileSync(join(this.path, name), 'utf8') : undefined
    } catch {
      return undefined
    }
  }

  /**
   * The text of a file that must not be lost; undefined if there is none.
   * @throws the error of a system call; Error if somebody else could have written it
   */
  load(name: string): string | undefined {
    try {
      if (!this.#isOwn()) throw new Error(`others can write to ${this.path}`)
      return readFileSync(join(this.path, name), 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  /** @returns as {@link save}: false if the directory cannot be written */
  write(name: string, text: string): boolean {
    return this.save(name, text) === undefined
  }

  /**
   * Replaces a file. After a kill or a loss of power there is either the old text or the new one.
   * @returns why it cannot be written; undefined if it is
   */
  save(name: string, text: string): string | undefined {
    const temporary = join(this.path, `.${name}.${process.pid}`)
    try {
      this.#make()
      if (!this.#isOwn()) return 'others can write there'
      this.#removeHalves(name)
      const fd = openSync(temporary, 'w', 0o600)
      try {
        writeFileSync(fd, text)
        fsyncSync(fd)
      } finally {
        closeSync(fd)
      }
      renameSync(temporary, join(this.path, name))
      this.#sync()
      return undefined
    } catch (error) {
      this.#remove(temporary)
      return (error as NodeJS.ErrnoException).code ?? String(error)
    }
  }

  /** The same without blocking this thread meanwhile. Calls for one file must not overlap. */
  async replace(name: string, text: string): Promise<boolean> {
    const temporary = join(this.path, `.${name}.${process.pid}`)
    try {
      this.#make()
      if (!this.#isOwn()) return false
      this.#removeHalves(name)
      const file = await open(temporary, 'w', 0o600)
      try {
        await file.writeFile(text)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(temporary, join(this.path, name))
      const directory = await open(this.path, 'r')
      try {
        await directory.sync()
      } finally {
        await directory.close()
      }
      return true
    } catch {
      this.#remove(temporary)
      return false
    }
  }

  /** What programs have left that were killed while they wrote the file. */
  #removeHalves(name: string): void {
    const beginning = `.${name}.`
    for (const other of this.names())
      if (other.startsWith(beginning) && !isAlive(Number(other.slice(beginning.length)))) this.remove(other)
  }

  /**
   * Makes a file, open to be appended to. A file with a lock must be used where it is, and is not replaced.
   * @throws if that cannot be done
   */
  openNew(name: string): number {
    this.#make()
    if (!this.#isOwn()) throw new Error(`others can write to ${this.path}`)
    return openSync(join(this.path, name), 'ax', 0o600)
  }

  /** Opens a file to read it; undefined if there is none, or if somebody else could have written it. */
  openOld(name: string): number | undefined {
    try {
      return this.#isOwn() ? openSync(join(this.path, name), 'r') : undefined
    } catch {
      return undefined
    }
  }

  /** Adds to a file that is there. If that cannot be done, it stays as it is. */
  append(name: string, text: string): void {
    try {
      if (!this.#isOwn()) return
      const fd = openSync(join(this.path, name), APPEND)
      try {
        writeFileSync(fd, text)
      } finally {
        closeSync(fd)
      }
    } catch {
      // There is no such file any more, or the file system is full.
    }
  }

  /** The names of all files. */
  names(): string[] {
    try {
      return this.#isOwn() ? readdirSync(this.path) : []
    } catch {
      return []
    }
  }

  remove(name: string): void {
    this.#remove(join(this.path, name))
  }

  #make(): void {
    try {
      mkdirSync(this.path, { mode: 0o700 })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }

  #remove(file: string): void {
    try {
      rmSync(file, { force: true })
    } catch {
      // There is not even a directory.
    }
  }

  /** Whether only root and this program's user can write to the directory. */
  #isOwn(): boolean {
    const { uid, mode } = statSync(this.path)
    return (uid === 0 || uid === process.geteuid?.()) && (mode & WRITABLE_BY_OTHERS) === 0
  }

  /** The directory itself says what the file is called. */
  #sync(): void {
    const fd = openSync(this.path, 'r')
    try {
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  }
}

/** Whether there is a process of this number, here. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
