import { formatKey } from '../../key-text.js'
import {
  type Change,
  type Introduction,
  type Position,
  type ToldMember,
  writeMember,
} from '../../wire/introduction.js'

/** The least time between two changes of one member that are told. It may move as often as it likes. */
const CHANGE_MS = 1_000

/** So many hosts that are no members any more are told. Beyond that, a new epoch begins, and all is told anew. */
const MAX_GONE = 1_024

interface Entry {
  readonly revision: number
  readonly change: Change
  /** The member as bytes; undefined if it is gone. */
  readonly text: string | undefined
  readonly changedMs: number
  /** Whether there is a later one of the same member. */
  isReplaced: boolean
}

/** What an introducer tells: its members, and the changes of them in order. See wire/introduction.ts. */
export class Ledger {
  readonly #newEpoch: () => number
  #epoch: number
  #latest = 0
  /** By public key. */
  readonly #entries = new Map<string, Entry>()
  /** In the order of their revisions; some have been replaced by later ones. */
  #log: Entry[] = []
  /** How many of them are gone. */
  #gone = 0
  /** What was set last; undefined if some of that waits. */
  #set: readonly ToldMember[] | undefined

  /** @param newEpoch makes a random number of 32 bits */
  constructor(newEpoch: () => number) {
    this.#newEpoch = newEpoch
    this.#epoch = newEpoch()
  }

  /** The last change. */
  get position(): Position {
    return { epoch: this.#epoch, revision: this.#latest }
  }

  /** These are the members now. A member that has changed a moment ago may stay as it is for another moment. */
  set(members: readonly ToldMember[], nowMs: number): void {
    // This is asked ten times a second, and there may be thousands.
    const before = this.#set
    if (before?.length === members.length && members.every((it, at) => it === before[at])) return
    this.#set = members
    const now = new Map(members.map((member) => [formatKey(member.publicKey), member]))
    for (const [key, { text }] of this.#entries)
      if (text !== undefined && !now.has(key))
        this.#put(key, { kind: 'gone', publicKey: Buffer.from(key, 'base64') }, undefined, nowMs)
    for (const [key, member] of now) {
      const before = this.#entries.get(key)
      if (before?.change.kind === 'member' && before.change.member === member) continue
      const text = Buffer.from(writeMember(member)).toString('latin1')
      if (before?.text === text) continue
      const isSoon = before?.text !== undefined && nowMs - before.changedMs < CHANGE_MS
      if (isSoon) this.#set = undefined
      else this.#put(key, { kind: 'member', member }, text, nowMs)
    }
    if (this.#gone > MAX_GONE) this.#beginAnew(nowMs)
  }

  /**
   * The changes after `position`, at most `limit` of them. If that is of another epoch, all of them. Never empty: if
   * there are none, it says so.
   */
  after({ epoch, revision }: Position, limit: number): Introduction[] {
    let after = epoch === this.#epoch ? Math.min(revision, this.#latest) : 0
    const latest = this.#latest
    const found: Introduction[] = []
    for (let at = this.#firstAfter(after); at < this.#log.length && found.length < limit; at++) {
      const entry = this.#log[at]
      if (entry.isReplaced) continue
      found.push({ ...entry.change, epoch: this.#epoch, after, revision: entry.revision, latest })
      after = entry.revision
    }
    if (found.length > 0) return found
    return [{ kind: 'nothing', epoch: this.#epoch, after, revision: after, latest }]
  }

  /** Where the changes after this revision begin in the log. */
  #firstAfter(revision: number): number {
    let [from, to] = [0, this.#log.length]
    while (from < to) {
      const middle = (from + to) >>> 1
      if (this.#log[middle].revision <= revision) from = middle + 1
      else to = middle
    }
    return from
  }

  #put(key: string, change: Change, text: string | undefined, changedMs: number): void {
    const before = this.#entries.get(key)
    if (before !== undefined) before.isReplaced = true
    if (before !== undefined && before.text === undefined) this.#gone--
    if (text === undefined) this.#gone++
    const entry = { revision: ++this.#latest, change, text, changedMs, isReplaced: false }
    this.#entries.set(key, entry)
    this.#log.push(entry)
    if (this.#log.length > 2 * this.#entries.size) this.#log = this.#log.filter((it) => !it.isReplaced)
  }

  #beginAnew(nowMs: number): void {
    // In the order in which they have changed.
    const members = [...this.#entries]
      .filter(([, { text }]) => text !== undefined)
      .sort(([, a], [, b]) => a.revision - b.revision)
    this.#epoch = this.#newEpoch()
    this.#latest = 0
    this.#entries.clear()
    this.#log = []
    this.#gone = 0
    for (const [key, { change, text }] of members) this.#put(key, change, text, nowMs)
  }
}
