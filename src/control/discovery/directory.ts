import type { ToldMember } from '../../wire/introduction.js'
import { parseValue } from './member-value.js'

/** So many keys are looked at. Others are refused, so that a store with very many costs no more memory. */
export const MAX_ENTRIES = 4_096

export interface DirectoryOptions {
  /** How long a member stays whose key is gone. */
  readonly graceMs: number
  /** This host's own name. Its value concerns only itself. */
  readonly ownName: string
  /** @param member undefined: it is no member any more */
  readonly told: (name: string, member: ToldMember | undefined) => void
  readonly refused: (why: string) => void
  readonly isAlive: (publicKey: Uint8Array) => boolean
}

interface Entry {
  readonly value: string
  /** Undefined: it is refused. */
  readonly member: ToldMember | undefined
  /** Since when its key is gone; undefined if it is there. */
  goneMs: number | undefined
}

/**
 * Who is in a store, by name. A member whose key is gone stays for a grace time, and for as long as there is a session
 * with it: a host that cannot reach the store loses its lease, and is there all the same.
 */
export class Directory {
  readonly #options: DirectoryOptions
  readonly #entries = new Map<string, Entry>()

  constructor(options: DirectoryOptions) {
    this.#options = options
  }

  /** Names and values, to be kept. */
  get values(): [name: string, value: string][] {
    return [...this.#entries].flatMap(([name, { value, member }]) =>
      member === undefined ? [] : [[name, value]],
    )
  }

  /** How many keys there are beside this host's own. */
  get keys(): number {
    return [...this.#entries.values()].filter(({ goneMs }) => goneMs === undefined).length
  }

  /** How many members there are whose keys are there. */
  get present(): number {
    return [...this.#entries.values()].filter((it) => it.member !== undefined && it.goneMs === undefined)
      .length
  }

  /** Takes all that there is, at a fresh read. The grace time of what is missing begins now. */
  replace(values: ReadonlyMap<string, string>, nowMs: number): void {
    for (const [name, entry] of this.#entries) if (!values.has(name)) entry.goneMs = nowMs
    for (const [name, value] of values) this.put(name, value)
  }

  put(name: string, value: string): void {
    if (name === this.#options.ownName) return
    const before = this.#entries.get(name)
    if (before === undefined && this.#entries.size >= MAX_ENTRIES) {
      this.#options.refused(
        `there is no room for ${JSON.stringify(name)}: ${MAX_ENTRIES} keys of members are the most`,
      )
      return
    }
    if (before?.value === value) {
      before.goneMs = undefined
      return
    }
    const member = parseValue(value, name)
    const isMember = typeof member !== 'string'
    this.#entries.set(name, { value, member: isMember ? member : undefined, goneMs: undefined })
    if (!isMember) this.#options.refused(`the key of ${JSON.stringify(name)} in the etcd store ${member}`)
    if (isMember || before?.member !== undefined) this.#options.told(name, isMember ? member : undefined)
  }

  gone(name: string, nowMs: number): void {
    const entry = this.#entries.get(name)
    if (entry !== undefined) entry.goneMs ??= nowMs
  }

  /** Forgets those whose grace time has passed. To be called only while the store is in touch. */
  expire(nowMs: number): void {
    for (const [name, { member, goneMs }] of this.#entries) {
      if (goneMs === undefined || nowMs - goneMs < this.#options.graceMs) continue
      if (member !== undefined && this.#options.isAlive(member.publicKey)) continue
      this.#entries.delete(name)
      if (member !== undefined) this.#options.told(name, undefined)
    }
  }
}
