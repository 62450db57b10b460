import * as z from 'zod'
import { parsePeerAddress } from '../../config/addresses.js'
import { parseGroup, parsePeerName, parsePublicKey } from '../../config/values.js'
import type { Book } from './book.js'

/** The form of the file. A program that knows only an older one must not write over it. */
const VERSION = 1

const parsed = (parse: (text: string) => unknown) =>
  z.string().refine((text) => {
    try {
      parse(text)
      return true
    } catch {
      return false
    }
  })

const key = parsed(parsePublicKey)
const time = z.iso.datetime().transform((text) => Date.parse(text))
const maybe = time.nullable().transform((ms) => ms ?? undefined)
const common = {
  name: parsed(parsePeerName),
  public_key: key,
  preshared_key: key,
  addresses: z.array(parsed(parsePeerAddress)),
  groups: z.array(parsed(parseGroup)).default([]),
}

const fileSchema = z.object({
  version: z.literal(VERSION),
  members: z.array(
    z.object({
      ...common,
      signing_key: key.nullish().transform((text) => text ?? undefined),
      joined: time,
      seen: maybe,
      until: maybe,
      wireguard: z.boolean(),
    }),
  ),
  lines: z.array(z.object({ ...common, until: time, used_by: key.nullable(), withdrawn: z.boolean() })),
})

/** The file of a book: JSON. */
export function writeBook({ members, lines }: Book): string {
  const text = (ms: number) => new Date(ms).toISOString()
  const orNull = (ms: number | undefined) => (ms === undefined ? null : text(ms))
  const file = {
    version: VERSION,
    members: members.map((it) => ({
      name: it.name,
      public_key: it.publicKey,
      signing_key: it.signingKey ?? null,
      preshared_key: it.presharedKey,
      addresses: it.addresses,
      groups: it.groups,
      joined: text(it.joinedMs),
      seen: orNull(it.seenMs),
      until: orNull(it.untilMs),
      wireguard: it.isWireGuard,
    })),
    lines: lines.map((it) => ({
      name: it.name,
      public_key: it.publicKey,
      preshared_key: it.presharedKey,
      addresses: it.addresses,
      groups: it.groups,
      until: text(it.untilMs),
      used_by: it.usedBy ?? null,
      withdrawn: it.isWithdrawn,
    })),
  }
  return `${JSON.stringify(file, null, 1)}\n`
}

/** @returns the book; or why it cannot be read: the rest of a sentence */
export function readBook(text: string): Book | string {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'is not whole'
  }
  const version: unknown = Object(value).version
  if (version !== VERSION)
    return `is of version ${JSON.stringify(version)}, and this program knows ${VERSION}`
  const file = fileSchema.safeParse(value)
  if (!file.success) return `is not right at ${file.error.issues[0]?.path.join('.')}`
  return {
    members: file.data.members.map((it) => ({
      name: it.name,
      publicKey: it.public_key,
      signingKey: it.signing_key,
      presharedKey: it.preshared_key,
      addresses: it.addresses,
      groups: it.groups,
      joinedMs: it.joined,
      seenMs: it.seen,
      untilMs: it.until,
      isWireGuard: it.wireguard,
    })),
    lines: file.data.lines.map((it) => ({
      name: it.name,
      publicKey: it.public_key,
      presharedKey: it.preshared_key,
      addresses: it.addresses,
      groups: it.groups,
      untilMs: it.until,
      usedBy: it.used_by ?? undefined,
      isWithdrawn: it.withdrawn,
    })),
  }
}
