import ipaddr from 'ipaddr.js'

/** A datagram of the tunnel at this host. What is not known is undefined. */
export interface Datagram {
  readonly hook: 'input' | 'output'
  readonly family: 'ipv4' | 'ipv6'
  readonly source?: string | undefined
  readonly destination?: string | undefined
  readonly sourcePort?: number | undefined
  readonly destinationPort?: number | undefined
  /** The interface that it comes by, or leaves by. */
  readonly interface?: string | undefined
  /** What connection tracking says of it. */
  readonly state: 'new' | 'established'
}

/** Whether a rule's condition holds. */
export type Truth = 'yes' | 'no' | 'unknown'

type Value = string | number | undefined

/** A field of nft's JSON; undefined for anything else. */
export function field(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined
}

/**
 * Whether a condition of a rule (libnftables-json(5), `match`) holds for a datagram. Whatever this program does not
 * know is `unknown`: marks, times, sets with names.
 */
export function matches(match: unknown, datagram: Datagram): Truth {
  const [op, left, right] = [field(match, 'op'), field(match, 'left'), field(match, 'right')]
  const truth = compare(fieldOf(left, datagram), right)
  if (op === '==' || op === 'in') return truth
  if (op === '!=') return opposite(truth)
  return 'unknown'
}

/** The value of an expression; undefined if it is not known; null if the datagram has no such field. */
export function fieldOf(expression: unknown, datagram: Datagram): Value | null {
  const meta = field(field(expression, 'meta'), 'key')
  if (meta === 'l4proto') return 'udp'
  if (meta === 'nfproto') return datagram.family
  if (meta === 'iifname' || meta === 'iif') return datagram.hook === 'input' ? datagram.interface : undefined
  if (meta === 'oifname' || meta === 'oif') return datagram.hook === 'output' ? datagram.interface : undefined
  if (field(field(expression, 'ct'), 'key') === 'state') return datagram.state
  const payload = field(expression, 'payload')
  const [protocol, name] = [field(payload, 'protocol'), field(payload, 'field')]
  if (protocol === 'udp' || protocol === 'th') {
    if (name === 'dport') return datagram.destinationPort
    return name === 'sport' ? datagram.sourcePort : undefined
  }
  if (protocol === 'ip' || protocol === 'ip6') {
    if ((protocol === 'ip') !== (datagram.family === 'ipv4')) return null
    if (name === 'protocol' || name === 'nexthdr') return 'udp'
    if (name === 'saddr') return datagram.source
    return name === 'daddr' ? datagram.destination : undefined
  }
  // For another protocol, such as tcp.
  return protocol === undefined ? undefined : null
}

/** Whether a value is one of what stands on the right: a value, a list, a set, a range or a prefix. */
export function compare(value: Value | null, right: unknown): Truth {
  if (value === null) return 'no'
  const all = Array.isArray(right) ? right : field(right, 'set')
  if (Array.isArray(all)) return anyOf(all.map((it) => compare(value, it)))
  if (value === undefined) return 'unknown'
  const element = field(field(right, 'elem'), 'val')
  if (element !== undefined) return compare(value, element)
  const range = field(right, 'range')
  if (Array.isArray(range) && typeof value === 'number')
    return truthOf(value >= Number(range[0]) && value <= Number(range[1]))
  const prefix = field(right, 'prefix')
  if (prefix !== undefined) return inPrefix(String(value), field(prefix, 'addr'), field(prefix, 'len'))
  if (typeof right === 'string' && right.startsWith('@')) return 'unknown'
  if (typeof right === 'string' && right.endsWith('*'))
    return truthOf(String(value).startsWith(right.slice(0, -1)))
  if (typeof right === 'string' || typeof right === 'number') return truthOf(isSame(value, right))
  return 'unknown'
}

function inPrefix(value: string, address: unknown, length: unknown): Truth {
  if (!ipaddr.isValid(value) || typeof address !== 'string' || !ipaddr.isValid(address)) return 'unknown'
  const [own, other] = [ipaddr.parse(value), ipaddr.parse(address)]
  return truthOf(own.kind() === other.kind() && own.match(other, Number(length)))
}

function isSame(value: string | number, right: string | number): boolean {
  const [a, b] = [String(value), String(right)]
  if (ipaddr.isValid(a) && ipaddr.isValid(b) && /[.:]/.test(a))
    return ipaddr.parse(a).toString() === ipaddr.parse(b).toString()
  return a === b
}

function truthOf(is: boolean): Truth {
  return is ? 'yes' : 'no'
}

function opposite(truth: Truth): Truth {
  if (truth === 'unknown') return truth
  return truthOf(truth === 'no')
}

export function anyOf(all: readonly Truth[]): Truth {
  if (all.includes('yes')) return 'yes'
  return all.includes('unknown') ? 'unknown' : 'no'
}

export function allOf(all: readonly Truth[]): Truth {
  if (all.includes('no')) return 'no'
  return all.includes('unknown') ? 'unknown' : 'yes'
}
