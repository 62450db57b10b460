import { parsePeerAddress, parseRemote, type Remote } from '../../config/addresses.js'
import { isHostLabel, parseGroup } from '../../config/values.js'
import { usageError, usageOf } from '../../errors.js'

/** What `udptun-fast invite` asks for. */
export interface InviteRequest {
  readonly name: string
  /** Those that the newcomer gets; empty: the next free ones. */
  readonly addresses: readonly string[]
  /** For rules of access. */
  readonly groups: readonly string[]
  readonly hours: number
  /** Where the newcomer finds this host; empty: where this host believes to be. */
  readonly endpoints: readonly Remote[]
  /** Whether it is for a client of WireGuard. */
  readonly wireguard: boolean
}

const MOST_HOURS = 24 * 365

/** @throws UserError */
export function inviteRequestOf(request: Readonly<Record<string, unknown>>): InviteRequest {
  const { name, addresses = [], groups = [], hours = 24, endpoints = [], wireguard = false } = request
  return {
    name: memberNameOf(name),
    addresses: listOf(addresses, parsePeerAddress),
    groups: listOf(groups, parseGroup),
    hours: hoursOf(hours),
    endpoints: listOf(endpoints, parseRemote),
    wireguard: wireguard === true,
  }
}

/** A label, because it may become a host's name in DNS. @throws UserError */
export function memberNameOf(name: unknown): string {
  const text = String(name)
  if (!isHostLabel(text) || text.toLowerCase() === 'localhost')
    throw usageError(
      `"${text}" is not a member's name; use 1 to 63 letters, digits and hyphens, such as alice, and not localhost`,
    )
  return text
}

function hoursOf(hours: unknown): number {
  const number = Number(hours)
  if (!(number > 0 && number <= MOST_HOURS))
    throw usageError(`"${hours}" is not a time; give hours, from a part of one to ${MOST_HOURS}`)
  return number
}

function listOf<T>(list: unknown, parse: (text: string) => T): T[] {
  return usageOf(() => (Array.isArray(list) ? list : [list]).map((it) => parse(String(it))))
}
