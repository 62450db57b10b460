import type { Verdict } from '../../invitation/answer.js'

/** One whom this host has invited, and who has come. Times are milliseconds since 1970. */
export interface Member {
  readonly name: string
  /** In base64, like all keys here. */
  readonly publicKey: string
  /** With which it signs where it is; undefined if it has told none. */
  readonly signingKey?: string | undefined
  readonly presharedKey: string
  /** Its overlay addresses. */
  readonly addresses: readonly string[]
  readonly groups: readonly string[]
  readonly joinedMs: number
  /** When it was heard last; undefined: never. */
  readonly seenMs: number | undefined
  /** A client of WireGuard must come until then, for the first time; undefined for any other, and when it has come. */
  readonly untilMs: number | undefined
  /** Whether it is a client of WireGuard, which knows nothing of introductions. */
  readonly isWireGuard: boolean
}

/** The line of an invitation. Whoever has it comes with its key, and tells another one then. */
export interface Line {
  readonly name: string
  readonly publicKey: string
  readonly presharedKey: string
  readonly addresses: readonly string[]
  readonly groups: readonly string[]
  readonly untilMs: number
  /** The key that a newcomer has told; undefined: nobody has come. */
  readonly usedBy: string | undefined
  readonly isWithdrawn: boolean
}

/** The members that this host has invited, and the lines with which others may come. It never changes. */
export interface Book {
  readonly members: readonly Member[]
  readonly lines: readonly Line[]
}

export const EMPTY: Book = { members: [], lines: [] }

/** For so long after its end it is said of a line why it is good no more. */
const REMEMBERED_MS = 7 * 24 * 3_600_000

/** So many lines that are good no more are remembered, because each takes the place of a peer. */
const MAX_REMEMBERED = 16

/** Whether a newcomer may come with it. */
export function isOpen(line: Line, nowMs: number): boolean {
  return !line.isWithdrawn && line.usedBy === undefined && nowMs < line.untilMs
}

/** Whether two names are too alike for two members: DNS and people do not tell them apart. */
export function isSameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}

/** Adds a line. Others for the same name are withdrawn. */
export function withLine(book: Book, line: Line): Book {
  return { ...book, lines: [...withdrawn(book.lines, (it) => isSameName(it, line.name)), line] }
}

export function withMember({ members, lines }: Book, member: Member): Book {
  return { lines: withdrawn(lines, (it) => isSameName(it, member.name)), members: [...members, member] }
}

function withdrawn(lines: readonly Line[], isFor: (name: string) => boolean): Line[] {
  return lines.map((it) => (isFor(it.name) ? { ...it, isWithdrawn: true } : it))
}

export interface Admission {
  readonly verdict: Verdict
  readonly book: Book
  /** Undefined if it is none. */
  readonly member: Member | undefined
}

/**
 * A newcomer has come with the key of a line, and tells its own ones. The same one may tell them again at any time.
 * @param presharedKey for a new member
 */
export function admit(
  book: Book,
  lineKey: string,
  { publicKey, signingKey }: Pick<Member, 'publicKey' | 'signingKey'>,
  presharedKey: string,
  nowMs: number,
): Admission {
  const no = (verdict: Verdict): Admission => ({ verdict, book, member: undefined })
  const line = book.lines.find((it) => it.publicKey === lineKey)
  if (line === undefined || line.isWithdrawn) return no('withdrawn')
  if (line.usedBy !== undefined) {
    const member = book.members.find((it) => it.publicKey === publicKey)
    return line.usedBy === publicKey && member !== undefined
      ? { verdict: 'member', book, member }
      : no('used')
  }
  if (nowMs >= line.untilMs) return no('expired')
  if (book.members.some((it) => it.publicKey === publicKey)) return no('refused')
  const { name, addresses, groups } = line
  const member = {
    name,
    publicKey,
    signingKey,
    presharedKey,
    addresses,
    groups,
    joinedMs: nowMs,
    seenMs: undefined,
    untilMs: undefined,
    isWireGuard: false,
  }
  const lines = book.lines.map((it) => (it === line ? { ...it, usedBy: publicKey } : it))
  return { verdict: 'member', member, book: { lines, members: [...book.members, member] } }
}

/** Takes out the member of this name, and the lines for it; undefined if there is none of either. */
export function without(book: Book, name: string): Book | undefined {
  const isThere = book.members.some((it) => it.name === name)
  if (!isThere && !book.lines.some((it) => it.name === name && !it.isWithdrawn)) return undefined
  return {
    lines: withdrawn(book.lines, (it) => it === name),
    members: book.members.filter((it) => it.name !== name),
  }
}

/** Forgets what is over. @returns the same book if nothing is */
export function tidied(book: Book, nowMs: number): Book {
  const members = book.members.filter(({ untilMs = Number.POSITIVE_INFINITY }) => nowMs < untilMs)
  const open = book.lines.filter((it) => isOpen(it, nowMs))
  const over = book.lines.filter((it) => !isOpen(it, nowMs) && nowMs < it.untilMs + REMEMBERED_MS)
  const kept = new Set([...open, ...over.slice(-MAX_REMEMBERED)])
  if (members.length === book.members.length && kept.size === book.lines.length) return book
  return { members, lines: book.lines.filter((it) => kept.has(it)) }
}

/** These members, by their public keys, were heard at these times. */
export function heard(book: Book, seen: ReadonlyMap<string, number>): Book {
  const members = book.members.map((it) => {
    const seenMs = seen.get(it.publicKey)
    return seenMs === undefined ? it : { ...it, seenMs, untilMs: undefined }
  })
  return { ...book, members }
}
