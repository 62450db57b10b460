/** When a member was heard is written so often at the most. */
const WRITTEN_MS = 600_000

/** A member that is heard now. */
export interface Heard {
  /** Its public key, in base64. */
  readonly key: string
  /** When it was heard, in milliseconds since 1970. */
  readonly heardMs: number
  /** The time that the book has; undefined if it was never heard. */
  readonly writtenMs: number | undefined
}

/**
 * When members were heard, of those of whom that is to be written now. If one is due, those go with it that would be due
 * next. Otherwise, many members would have the book written all the time.
 */
export function dueOf(heard: readonly Heard[]): Map<string, number> {
  const olderThan = (ms: number) =>
    heard.filter(({ heardMs, writtenMs }) => heardMs - (writtenMs ?? Number.NEGATIVE_INFINITY) >= ms)
  const due = olderThan(WRITTEN_MS)
  const all = due.length === 0 ? [] : olderThan(WRITTEN_MS / 2)
  return new Map(all.map(({ key, heardMs }) => [key, Math.round(heardMs)]))
}
