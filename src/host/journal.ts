import { randomBytes } from 'node:crypto'
import { closeSync, fstatSync, fsyncSync, readFileSync, writeSync } from 'node:fs'
import { tryLock } from '../linux/file-lock.js'
import type { StateDirectory } from '../state/state-directory.js'
import { type Change, isInFile } from './change.js'
import type { Owner } from './owner.js'

/** The beginning of the names of journals. */
const PREFIX = 'undo-'

/** How often another name is tried. */
const TRIES = 3

/** The journal of another run. */
export interface OtherJournal {
  /** Whether that run goes on. */
  readonly alive: boolean
  /** Whether it is of this boot, but of another network namespace, which may be gone. */
  readonly isElsewhere: boolean
  /** What may still be there: all, or of another boot or namespace only what is in files. */
  readonly changes: readonly Change[]
  /** Removes the file. Only for one that is not alive. */
  remove(): void
  /** Removes from the file what was taken back, and the file if that was all. Only for one that is not alive. */
  drop(changes: readonly Change[]): void
}

/**
 * What a run has set on this host, in a file of the state directory, so that the next start can take it back if this
 * run is killed. The first line says where and when. Each further line adds a change (`+`), before it is made, or
 * drops one (`-`), after it was taken back. So a line that is cut off at the end says nothing. The run holds a lock
 * on the file.
 */
export class Journal {
  readonly #state: StateDirectory
  readonly #owner: Owner
  readonly #changes = new Map<string, Change>()
  #file: { readonly fd: number; readonly name: string } | undefined
  /** Whether a kill leaves something behind, because no file can be written. */
  #isLost = false

  constructor(state: StateDirectory, owner: Owner) {
    this.#state = state
    this.#owner = owner
  }

  /** What is to be taken back, in the order in which it was made. */
  get changes(): readonly Change[] {
    return [...this.#changes.values()]
  }

  get isLost(): boolean {
    return this.#isLost
  }

  /** Must be called before the changes are made. */
  add(changes: readonly Change[]): void {
    for (const change of changes) this.#changes.set(JSON.stringify(change), change)
    this.#write('+', changes)
  }

  /** Must be called after the changes were taken back. */
  drop(changes: readonly Change[]): void {
    for (const change of changes) this.#changes.delete(JSON.stringify(change))
    this.#write('-', changes)
  }

  #write(sign: '+' | '-', changes: readonly Change[]): void {
    if (changes.length === 0 || this.#isLost) return
    try {
      this.#file ??= this.#open()
      writeSync(this.#file.fd, linesOf(sign, changes))
      // It must be known after a loss of power, too. All else is gone then.
      if (changes.some(isInFile)) fsyncSync(this.#file.fd)
    } catch {
      this.#isLost = true
    }
  }

  /** @throws if no file can be made */
  #open(): { fd: number; name: string } {
    for (let tries = 0; tries < TRIES; tries++) {
      const name = `${PREFIX}${this.#owner.namespace}-${randomBytes(6).toString('hex')}`
      const fd = this.#state.openNew(name)
      // Another start may just have taken it for one that nobody has.
      if (tryLock(fd) && isThere(this.#state, name, fd)) {
        writeSync(fd, `${JSON.stringify(this.#owner)}\n`)
        return { fd, name }
      }
      closeSync(fd)
    }
    throw new Error('no journal can be locked')
  }

  /**
   * The journals that other runs have in this network namespace. Of killed runs in other ones, and from before the last
   * boot, only those that have changes in files; the rest of the latter is removed. `use` is called with each, and
   * nobody else takes that one meanwhile.
   */
  async others(use: (journal: OtherJournal) => void | Promise<void>): Promise<void> {
    for (const name of this.#state.names()) {
      if (!name.startsWith(PREFIX) || name === this.#file?.name) continue
      const fd = this.#state.openOld(name)
      if (fd === undefined) continue
      try {
        const alive = !tryLock(fd)
        const other = this.#other(name, alive, readFileSync(fd, 'utf8'))
        if (other !== undefined) await use(other)
      } finally {
        closeSync(fd)
      }
    }
  }

  #other(name: string, alive: boolean, text: string): OtherJournal | undefined {
    const made = parseOwner(text)
    const isOfBoot = made?.boot === this.#owner.boot
    const isElsewhere = isOfBoot && made.namespace !== this.#owner.namespace
    const isHere = isOfBoot && !isElsewhere
    if (alive && !isHere) return undefined
    const all = parseJournal(text)
    const changes = isHere ? all : all.filter(isInFile)
    const remove = () => this.#state.remove(name)
    const drop = (gone: readonly Change[]) => {
      const text = linesOf('-', gone)
      if (parseJournal(`\n${linesOf('+', all)}${text}`).length === 0) remove()
      else this.#state.append(name, text)
    }
    if (isHere || changes.length > 0) return { alive, isElsewhere, changes, remove, drop }
    if (!isOfBoot) remove()
    return undefined
  }

  /** All was taken back. */
  close(): void {
    if (this.#file === undefined) return
    this.#state.remove(this.#file.name)
    closeSync(this.#file.fd)
    this.#file = undefined
  }
}

function linesOf(sign: '+' | '-', changes: readonly Change[]): string {
  return changes.map((it) => `${sign}${JSON.stringify(it)}\n`).join('')
}

function isThere(state: StateDirectory, name: string, fd: number): boolean {
  const other = state.openOld(name)
  if (other === undefined) return false
  try {
    return fstatSync(other).ino === fstatSync(fd).ino
  } finally {
    closeSync(other)
  }
}

function parseOwner(text: string): Owner | undefined {
  try {
    return JSON.parse(text.split('\n', 1)[0])
  } catch {
    return undefined
  }
}

/** What is still to be taken back, by the text of a journal. */
export function parseJournal(text: string): Change[] {
  const changes = new Map<string, Change>()
  // The last line is empty, or was cut off.
  for (const line of text.split('\n').slice(1, -1)) {
    const json = line.slice(1)
    if (line[0] === '-') changes.delete(json)
    else if (line[0] === '+') {
      try {
        changes.set(json, JSON.parse(json))
      } catch {
        // After a loss of power, anything may stand there.
      }
    }
  }
  return [...changes.values()]
}
