import ipaddr from 'ipaddr.js'

/** A datagram of the tunnel at this host. What is not known is undefined. */
export interface Datagram {
  /** Where its way in this host ends, or begins. */
  readonly hook: 'input' | 'output'
  readonly family: 'ipv4' | 'ipv6'
  readonly source?: string | undefined
  /** Several if it is one of them. */
  readonly destination?: string | readonly string[] | undefined
  readonly sourcePort?: number | undefined
  readonly destinationPort?: number | undefined
  /** The interface that it comes by, or leaves by; several if it is one of them. */
  readonly interface?: string | readonly string[] | undefined
  /** What connection tracking says of it: `invalid` where it has not come there yet. */
  readonly state: 'new' | 'established' | 'invalid'
}

/** Whether a rule's condition holds. */
export type Truth = 'yes' | 'no' | 'unknown'

/** A list if it is one of several. */
type Value = string | number | undefined | readonly string[]

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
  const value = fieldOf(left, datagram)
  // nft first looks whether the protocol is that of the field, whatever the operator.
  if (value === null) return 'no'
  const truth = compare(value, right)
  if (op === '==' || op === 'in') return truth
  if (op === '!=') return opposite(truth)
  return 'unknown'
}

/** The value of an expression; undefined if it is not known; null if the datagram has no such field. */
export function fieldOf(expression: unknown, datagram: Datagram): Value | null {
  const meta = field(field(expression, 'meta'), 'key')
  if (meta !== undefined) return metaOf(meta, datagram)
  const fib = field(expression, 'fib')
  if (fib !== undefined) return fibOf(fib, datagram)
  if (field(field(expression, 'ct'), 'key') === 'state') return datagram.state
  if (field(expression, 'tcp option') !== undefined) return null
  const payload = field(expression, 'payload')
  if (payload !== undefined) return payloadOf(payload, datagram)
  // What is computed from fields, such as `tcp flags & syn`: only whether there are such fields is known.
  const parts = COMPUTED.map((key) => field(expression, key)).find(Array.isArray)
  return parts?.some((it) => fieldOf(it, datagram) === null) ? null : undefined
}

const COMPUTED = ['&', '|', '^', '<<', '>>', 'concat'] as const

function metaOf(key: unknown, datagram: Datagram): Value {
  if (key === 'l4proto') return 'udp'
  if (key === 'nfproto') return datagram.family
  if (key === 'protocol') return datagram.family === 'ipv4' ? 'ip' : 'ip6'
  if (key === 'iifname' || key === 'iif') return datagram.hook === 'input' ? datagram.interface : undefined
  if (key === 'oifname' || key === 'oif') return datagram.hook === 'output' ? datagram.interface : undefined
  return undefined
}

/** What the routes say of a datagram that comes in. */
function fibOf(fib: unknown, { hook, interface: device }: Datagram): Value {
  const [result, flags] = [field(fib, 'result'), field(fib, 'flags')]
  if (hook !== 'input' || !Array.isArray(flags)) return undefined
  if (result === 'type') return flags.includes('daddr') ? 'local' : undefined
  // The way back is by the interface that it comes by. Where it is not, the check of reverse paths says so.
  return flags.includes('saddr') ? device : undefined
}

function payloadOf(payload: unknown, datagram: Datagram): Value | null {
  const [protocol, name] = [field(payload, 'protocol'), field(payload, 'field')]
  // Raw bytes; what is inside of another tunnel; and what is around the packet.
  if (protocol === undefined || field(payload, 'tunnel') !== undefined) return undefined
  if (protocol === 'ether' || protocol === 'vlan') return undefined
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
  // Of another protocol, such as tcp.
  return null
}

/** Whether a value is one of what stands on the right: a value, a list, a set, a range or a prefix. */
export function compare(value: Value | null, right: unknown): Truth {
  if (value === null) return 'no'
  if (isSeveral(value)) return sameOf(value.map((it) => compare(it, right)))
  const all = Array.isArray(right) ? right : field(right, 'set')
  if (Array.isArray(all)) return anyOf(all.map((it) => compare(value, it)))
  if (value === undefined) return 'unknown'
  // Whether there is such a value.
  if (typeof right === 'boolean') return truthOf(right)
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

function isSeveral(value: Value): value is readonly string[] {
  return Array.isArray(value)
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

/** The truth that is the same for each; `unknown` if there is none. */
function sameOf(all: readonly Truth[]): Truth {
  const [first = 'unknown', ...rest] = new Set(all)
  return rest.length === 0 ? first : 'unknown'
}

export function anyOf(all: readonly Truth[]): Truth {
  if (all.includes('yes')) return 'yes'
  return all.includes('unknown') ? 'unknown' : 'no'
}

export function allOf(all: readonly Truth[]): Truth {
  if (all.includes('no')) return 'no'
  return all.includes('unknown') ? 'unknown' : 'yes'
}
