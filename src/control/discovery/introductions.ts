import { MAX_PEERS } from '../../config/schema.js'
import { formatKey } from '../../key-text.js'
import type { Introduction, Position, ToldMember } from '../../wire/introduction.js'

/** So many changes are kept that have come before an earlier one. */
const MAX_EARLY = 64

/** So many members are believed to one introducer. It has no more peers. */
const MAX_MEMBERS = MAX_PEERS

/** What one introducer has told of its members so far. */
export class Introductions {
  #position: Position = { epoch: 0, revision: 0 }
  /** The greatest revision that it has told of. */
  #latest = 0
  /** By public key. */
  #members = new Map<string, ToldMember>()
  /** The members of an earlier epoch that have not been told in this one yet. They stay until all is told. */
  #former = new Set<string>()
  /** Changes that came before an earlier one, by the revision after which they are to be applied. */
  readonly #early = new Map<number, Introduction>()

  /** The public keys of those that it introduces, in base64. */
  get keys(): readonly string[] {
    return [...this.#members.keys()]
  }

  /** What it has told of the host with this public key, in base64; undefined if it does not introduce that. */
  member(key: string): ToldMember | undefined {
    return this.#members.get(key)
  }

  /** The changes that have come, to be asked for those after them. */
  get position(): Position {
    return this.#position
  }

  /** Whether no later change is known of. */
  get isComplete(): boolean {
    return this.#position.revision === this.#latest && this.#early.size === 0
  }

  /** @returns the public keys, in base64, of the members that are others now */
  take(introduction: Introduction): string[] {
    if (introduction.epoch !== this.#position.epoch) this.#begin(introduction.epoch)
    this.#latest = Math.max(this.#latest, introduction.latest)
    if (this.#early.size < MAX_EARLY) this.#early.set(introduction.after, introduction)
    const changed: string[] = []
    for (;;) {
      const next = this.#next()
      if (next === undefined) break
      changed.push(...this.#apply(next))
    }
    if (this.#position.revision === this.#latest) {
      for (const key of this.#former) if (this.#members.delete(key)) changed.push(key)
      this.#former.clear()
    }
    return changed
  }

  /** The change that is to be applied now; undefined if it has not come. */
  #next(): Introduction | undefined {
    for (const [after, introduction] of this.#early) {
      if (after > this.#position.revision) continue
      this.#early.delete(after)
      // Or it is known already.
      if (introduction.revision > this.#position.revision) return introduction
    }
    return undefined
  }

  #begin(epoch: number): void {
    this.#position = { epoch, revision: 0 }
    this.#latest = 0
    this.#early.clear()
    this.#former = new Set(this.#members.keys())
  }

  #apply(introduction: Introduction): string[] {
    this.#position = { epoch: introduction.epoch, revision: introduction.revision }
    if (introduction.kind === 'nothing') return []
    if (introduction.kind === 'gone') {
      const key = formatKey(introduction.publicKey)
      this.#former.delete(key)
      return this.#members.delete(key) ? [key] : []
    }
    const { member } = introduction
    const key = formatKey(member.publicKey)
    this.#former.delete(key)
    if (!this.#members.has(key) && this.#members.size === MAX_MEMBERS) return []
    this.#members.set(key, member)
    return [key]
  }
}
