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
}

/** What an introducer tells: its members, and the changes of them in order. See wire/introduction.ts. */
export class Ledger {
  readonly #newEpoch: () => number
  #epoch: number
  #latest = 0
  /** By public key, in the order of their revisions. */
  readonly #entries = new Map<string, Entry>()

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
      if (!isSoon) this.#put(key, { kind: 'member', member }, text, nowMs)
    }
    const gone = [...this.#entries.values()].filter(({ text }) => text === undefined)
    if (gone.length > MAX_GONE) this.#beginAnew(nowMs)
  }

  /**
   * The changes after `position`, at most `limit` of them. If that is of another epoch, all of them. Never empty: if
   * there are none, it says so.
   */
  after({ epoch, revision }: Position, limit: number): Introduction[] {
    let after = epoch === this.#epoch ? Math.min(revision, this.#latest) : 0
    const latest = this.#latest
    const found: Introduction[] = []
    for (const entry of this.#entries.values()) {
      if (entry.revision <= after) continue
      if (found.length === limit) break
      found.push({ ...entry.change, epoch: this.#epoch, after, revision: entry.revision, latest })
      after = entry.revision
    }
    if (found.length > 0) return found
    return [{ kind: 'nothing', epoch: this.#epoch, after, revision: after, latest }]
  }

  #put(key: string, change: Change, text: string | undefined, changedMs: number): void {
    this.#entries.delete(key)
    this.#entries.set(key, { revision: ++this.#latest, change, text, changedMs })
  }

  #beginAnew(nowMs: number): void {
    const members = [...this.#entries].filter(([, { text }]) => text !== undefined)
    this.#epoch = this.#newEpoch()
    this.#latest = 0
    this.#entries.clear()
    for (const [key, { change, text }] of members) this.#put(key, change, text, nowMs)
  }
}
