import { publicKeyText } from '../../key-text.js'
import type { ToldMember } from '../../wire/introduction.js'
import { LatestBook } from './latest-book.js'
import { parseValue, type ReadValue } from './member-value.js'
import { REFUSAL_REASONS, type RefusalReason, type Refused, type Signatures, verdictOn } from './verdict.js'

/** So many keys are looked at. Others are refused, so that a store with very many costs no more memory. */
export const MAX_ENTRIES = 4_096

export interface DirectoryOptions {
  /** How long a member stays whose key is gone. */
  readonly graceMs: number
  /** This host's own name. Its value concerns only itself. */
  readonly ownName: string
  /** Undefined: this host has no network key, and the store is believed. */
  readonly signatures: () => Signatures | undefined
  /** @param member undefined: it is no member any more */
  readonly told: (name: string, member: ToldMember | undefined) => void
  readonly refused: (why: string) => void
  /** The public keys of the hosts that there is a session with, in base64. */
  readonly alive: () => ReadonlySet<string>
}

/** What is to be known of a fresh read. */
export interface Reading {
  readonly nowMs: number
  /** For how long the store was away until now. That is no part of a grace time that has begun. */
  readonly awayMs: number
  /** False: there is more, so nobody is missing. */
  readonly isWhole: boolean
}

interface Entry {
  /** What stands in the store; undefined if its key is gone. */
  text: string | undefined
  /** What is believed of it. Something that is refused does not change that. */
  believed: { readonly text: string; readonly member: ToldMember } | undefined
  /** Since when nothing in the store stands for it; undefined if something does. */
  goneMs: number | undefined
}

/**
 * Who is in a store, by name. A member whose key is gone, or whose value is refused, stays for a grace time, and for as long
 * as there is a session with it: a host that cannot reach the store loses its lease, and is there all the same.
 */
export class Directory {
  readonly #options: DirectoryOptions
  readonly #entries = new Map<string, Entry>()
  /** Those that are not judged yet. */
  readonly #pending = new Set<string>()
  readonly latest = new LatestBook(MAX_ENTRIES)
  /** How many values were refused. */
  readonly refused: Record<RefusalReason, number>

  constructor(options: DirectoryOptions) {
    this.#options = options
    this.refused = Object.fromEntries(REFUSAL_REASONS.map((it) => [it, 0])) as Record<RefusalReason, number>
  }

  /** Names and values, to be kept: also those that wait to be judged, because a start puts many there at once. */
  get values(): [name: string, value: string][] {
    return [...this.#entries].flatMap(([name, { text, believed }]) => {
      const kept = believed?.text ?? (this.#pending.has(name) ? text : undefined)
      return kept === undefined ? [] : [[name, kept]]
    })
  }

  /** How many keys there are beside this host's own. */
  get keys(): number {
    return this.#count(({ text }) => text !== undefined)
  }

  /** Whether there is no room for another key. */
  get isFull(): boolean {
    return this.#entries.size >= MAX_ENTRIES
  }

  /** How many members there are whose keys are there. */
  get present(): number {
    return this.#count(({ believed, goneMs }) => believed !== undefined && goneMs === undefined)
  }

  /** How many members are known, also those whose keys are gone. */
  get known(): number {
    return this.#count(({ believed }) => believed !== undefined)
  }

  #count(is: (entry: Entry) => boolean): number {
    let count = 0
    for (const entry of this.#entries.values()) if (is(entry)) count++
    return count
  }

  /** Takes all that there is, at a fresh read. The grace time of what is missing for the first time begins now. */
  replace(values: ReadonlyMap<string, string>, { nowMs, awayMs, isWhole }: Reading): void {
    for (const [name, entry] of this.#entries) {
      if (entry.goneMs !== undefined) entry.goneMs = Math.min(entry.goneMs + awayMs, nowMs)
      if (isWhole && !values.has(name)) this.#gone(name, entry, nowMs)
    }
    for (const [name, value] of values) this.put(name, value, nowMs)
    if (!isWhole) this.#refuseMore()
  }

  put(name: string, value: string, nowMs: number): void {
    if (name === this.#options.ownName) return
    const before = this.#entries.get(name)
    if (before === undefined && this.isFull) {
      this.#refuseMore()
      return
    }
    const entry = before ?? { text: undefined, believed: undefined, goneMs: undefined }
    if (before === undefined) this.#entries.set(name, entry)
    if (entry.text === value) return
    entry.text = value
    this.#judge(name, entry, value, nowMs)
  }

  #refuseMore(): void {
    this.refused.no_room++
    // One sentence for all of them, because it is said once.
    this.#options.refused(
      `the etcd store has more keys than there is room for: ${MAX_ENTRIES} of members are the most, and others are passed over`,
    )
  }

  gone(name: string, nowMs: number): void {
    const entry = this.#entries.get(name)
    if (entry !== undefined) this.#gone(name, entry, nowMs)
  }

  #gone(name: string, entry: Entry, nowMs: number): void {
    entry.text = undefined
    entry.goneMs ??= nowMs
    this.#pending.delete(name)
  }

  /** Judges those for whom there was no time. */
  judgePending(nowMs: number): void {
    for (const name of this.#pending) {
      const entry = this.#entries.get(name)
      if (entry?.text === undefined) this.#pending.delete(name)
      else this.#judge(name, entry, entry.text, nowMs)
      // There is no more time.
      if (this.#pending.has(name)) return
    }
  }

  /** Another network key counts now: what it has not signed goes. */
  judgeAnew(nowMs: number): void {
    this.latest.clear()
    for (const [name, entry] of this.#entries) {
      const { text, believed, goneMs } = entry
      const latest = text ?? believed?.text
      if (latest === undefined) continue
      entry.believed = undefined
      this.#judge(name, entry, latest, nowMs)
      if (text === undefined) {
        entry.goneMs = goneMs
        // Nothing in the store stands for it, so it cannot be judged later.
        this.#pending.delete(name)
      }
      if (believed !== undefined && entry.believed === undefined) this.#options.told(name, undefined)
    }
  }

  #judge(name: string, entry: Entry, text: string, nowMs: number): void {
    this.#pending.delete(name)
    if (text === entry.believed?.text) {
      entry.goneMs = undefined
      return
    }
    const read = parseValue(text, name)
    if ('reason' in read) {
      this.#refuse(name, entry, read, nowMs)
      return
    }
    const verdict = this.#verdictOn(read, entry)
    if (verdict === 'unknown') this.#pending.add(name)
    else if (verdict === 'good') this.#believe(name, entry, text, read)
    else this.#refuse(name, entry, verdict, nowMs)
  }

  #believe(name: string, entry: Entry, text: string, { member, statement }: ReadValue): void {
    entry.believed = { text, member }
    entry.goneMs = undefined
    if (this.#options.signatures() !== undefined) this.latest.note(member, statement?.serial)
    this.#options.told(name, member)
  }

  #verdictOn(read: ReadValue, { believed }: Entry): 'good' | 'unknown' | Refused {
    const signatures = this.#options.signatures()
    if (signatures === undefined) return 'good'
    return verdictOn(read, signatures, { member: believed?.member, latest: this.latest.of(read.member) })
  }

  #refuse(name: string, entry: Entry, { reason, why }: Refused, nowMs: number): void {
    this.refused[reason]++
    entry.goneMs ??= nowMs
    this.#options.refused(`the key of ${JSON.stringify(name)} in the etcd store ${why}`)
  }

  /** Forgets those whose grace time has passed. To be called only while the store is in touch. */
  expire(nowMs: number): void {
    let alive: ReadonlySet<string> | undefined
    for (const [name, entry] of this.#entries) {
      const { text, believed, goneMs } = entry
      if (goneMs === undefined || nowMs - goneMs < this.#options.graceMs) continue
      if (believed !== undefined) {
        // Once for all of them, because there may be thousands of peers.
        alive ??= this.#options.alive()
        if (alive.has(publicKeyText(believed.member.publicKey))) continue
      }
      if (text === undefined) this.#entries.delete(name)
      entry.believed = undefined
      if (believed !== undefined) this.#options.told(name, undefined)
    }
  }
}
