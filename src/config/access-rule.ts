import * as z from 'zod'
import { IPPROTO_TCP } from '../wire/tcp.js'
import { IPPROTO_UDP } from '../wire/udp.js'
import { type Prefix, parsePrefix } from './addresses.js'
import { parsed } from './parsed.js'
import { parseGroup, parsePeerName } from './values.js'

/** Before the name of a group, where a rule says from whom. */
export const GROUP = 'group:'

/** Ports, both ends included. */
export interface PortRange {
  readonly first: number
  readonly last: number
}

/** IP protocols that have ports, and the numbers that IANA gives to protocols with a name here. */
const PROTOCOLS: Readonly<Record<string, number>> = {
  tcp: IPPROTO_TCP,
  udp: IPPROTO_UDP,
  sctp: 132,
}
const WITH_PORTS: readonly number[] = Object.values(PROTOCOLS)

/** Stands for ICMP in a packet of IPv4 (protocol 1), and for ICMPv6 in one of IPv6 (58). */
export const ICMP = 'icmp'

/** Who may send to this host. What is undefined is not limited. */
export interface AccessRule {
  /** Names of peers, and groups as `group:admins`. */
  readonly from: readonly string[] | undefined
  readonly to: readonly Prefix[] | undefined
  readonly protocol: number | typeof ICMP | undefined
  readonly ports: readonly PortRange[] | undefined
}

function parseFrom(text: string): string {
  return text.startsWith(GROUP) ? GROUP + parseGroup(text.slice(GROUP.length)) : parsePeerName(text)
}

function parseProtocol(text: string): number | typeof ICMP {
  if (text === ICMP) return ICMP
  const number = PROTOCOLS[text] ?? (/^\d{1,3}$/.test(text) ? Number(text) : Number.NaN)
  if (!(number <= 255))
    throw new RangeError(
      `"${text}" is not a protocol; use ${Object.keys(PROTOCOLS).join(', ')}, ${ICMP}, or a number from 0 to 255`,
    )
  return number
}

function parsePorts(text: string): PortRange {
  const [, from, to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? []
  const [first, last] = [Number(from), Number(to)]
  if (!(first <= last && last <= 0xffff))
    throw new RangeError(
      `"${text}" is neither a port nor a range of ports; write one such as 22 or 8000-8100`,
    )
  return { first, last }
}

/** One value, or a list of them. */
function some<T>(parse: (text: string) => T, example: string) {
  const one = z.union([z.string(), z.number()]).transform((it) => [String(it)])
  const many = z
    .array(z.union([z.string(), z.number()]))
    .nonempty()
    .transform((all) => all.map(String))
  return z
    .union([one, many], { error: `write one, or a list, such as [${example}]` })
    .transform(parsed((all) => all.map((it) => parse(it))))
    .optional()
}

const writtenSchema = z.strictObject(
  {
    from: some(parseFrom, 'alice, group:admins'),
    to: some(parsePrefix, '10.9.0.0/24'),
    protocol: z
      .union([z.string(), z.number()], { error: 'write tcp, udp, icmp, or a number' })
      .transform(parsed((it) => parseProtocol(String(it))))
      .optional(),
    ports: some(parsePorts, '22, 8000-8100'),
  },
  { error: 'write who may send, such as {from: alice, protocol: tcp, ports: 22}' },
)

/** What a rule may say in the file. */
export const RULE_KEYS = Object.keys(writtenSchema.shape)

export const accessRuleSchema = writtenSchema.transform(
  parsed(({ from, to, protocol, ports }): AccessRule => {
    if (ports !== undefined && !WITH_PORTS.includes(protocol as number))
      throw new RangeError('has ports, which only tcp, udp and sctp have; give one of them as protocol')
    return { from, to, protocol, ports }
  }),
)

/**
 * Reads a rule in one line, such as `from=alice,group:admins protocol=tcp ports=22,8000-8100`: what a signed record has.
 * @throws RangeError: the rest of a sentence
 */
export function parseRuleLine(line: string): AccessRule {
  const pairs = line.split(' ').map((word) => word.split('='))
  const wrong = pairs.find((it) => it.length !== 2 || !RULE_KEYS.includes(it[0]))
  if (wrong !== undefined)
    throw new RangeError(
      `"${wrong.join('=')}" is not a part of a rule; write ${RULE_KEYS.map((it) => `${it}=…`).join(', ')}, with one space between them`,
    )
  const values = pairs.map(([key, value]) => [key, key === 'protocol' ? value : value.split(',')] as const)
  if (new Set(pairs.map(([key]) => key)).size < pairs.length)
    throw new RangeError(`"${line}" says something twice; write a list, such as from=alice,bob`)
  const { data, error } = accessRuleSchema.safeParse(Object.fromEntries(values))
  if (data === undefined) throw new RangeError(error.issues[0].message)
  return data
}
