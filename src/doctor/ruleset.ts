import { baseChains } from './base-chains.js'
import { allOf, compare, type Datagram, field, fieldOf, matches, type Truth } from './nft-match.js'

/** What a ruleset does with a datagram. */
export interface Fate {
  /** `unknown`: it depends on something that this program cannot see. */
  readonly dropped: Truth
  /** The chain that drops it, as nft names it: `inet filter input`. Undefined if none does. */
  readonly chain: string | undefined
}

type End = 'accept' | 'drop' | 'return' | 'on'

/** Deeper jumps than the kernel allows. */
const DEEPEST = 16

/**
 * What becomes of a datagram in the base chains on its way, by `nft -j list ruleset`. Rules that this program cannot
 * decide are followed both ways. Chains of the families bridge and arp are not looked at.
 */
export function fateOf(ruleset: readonly unknown[], datagram: Datagram): Fate {
  const rules = ruleset.map((it) => field(it, 'rule')).filter((it) => it !== undefined)
  let maybe: string | undefined
  for (const { place, drops, isPassed, datagram: seen } of baseChains(ruleset, datagram)) {
    if (isPassed === 'no') continue
    const ends = walk(rules, place, seen, 0)
    // Both go, so each is asked.
    if ([ends.delete('on'), ends.delete('return')].includes(true)) ends.add(drops ? 'drop' : 'accept')
    if (!ends.has('drop')) continue
    if (ends.size === 1 && isPassed === 'yes') return { dropped: 'yes', chain: place.join(' ') }
    maybe ??= place.join(' ')
  }
  return maybe === undefined ? { dropped: 'no', chain: undefined } : { dropped: 'unknown', chain: maybe }
}

/** All ways in which a chain may end. */
function walk(
  rules: readonly unknown[],
  place: readonly string[],
  datagram: Datagram,
  depth: number,
): Set<End> {
  const [family, table, name] = place
  const ends = new Set<End>()
  if (depth > DEEPEST) return new Set(['on'])
  const own = rules.filter(
    (it) => field(it, 'family') === family && field(it, 'table') === table && field(it, 'chain') === name,
  )
  for (const rule of own) {
    const statements = field(rule, 'expr')
    if (!Array.isArray(statements)) continue
    const holds = allOf(statements.map((it) => holdsIn(it, datagram)))
    if (holds === 'no') continue
    const after = statements.flatMap((it) => [...verdictsOf(it, rules, [family, table], datagram, depth)])
    if (after.length === 0) continue
    for (const end of after) if (end !== 'on') ends.add(end)
    if (holds === 'yes' && !after.includes('on')) return ends
  }
  ends.add('on')
  return ends
}

/** What does not decide whether the rule's verdict counts. */
const NEUTRAL = ['counter', 'log', 'comment', 'mangle', 'ct helper', 'notrack']

function holdsIn(statement: unknown, datagram: Datagram): Truth {
  const match = field(statement, 'match')
  if (match !== undefined) return matches(match, datagram)
  const [key = ''] = Object.keys(Object(statement))
  return NEUTRAL.includes(key) || isVerdict(key) ? 'yes' : 'unknown'
}

/** What changes addresses or ports. The kernel then looks at no other rule of the chain. */
const NAT = ['dnat', 'snat', 'masquerade', 'redirect']

function isVerdict(key: string): boolean {
  return ['accept', 'drop', 'reject', 'queue', 'return', 'jump', 'goto', 'vmap', ...NAT].includes(key)
}

function verdictsOf(
  statement: unknown,
  rules: readonly unknown[],
  [family, table]: readonly string[],
  datagram: Datagram,
  depth: number,
): Set<End> {
  const [key = ''] = Object.keys(Object(statement))
  if (key === 'accept' || NAT.includes(key)) return new Set(['accept'])
  if (key === 'drop' || key === 'reject') return new Set(['drop'])
  if (key === 'return') return new Set(['return'])
  // A program decides.
  if (key === 'queue') return new Set(['accept', 'drop'])
  if (key === 'vmap') return mapped(field(statement, key), rules, [family, table], datagram, depth)
  if (key !== 'jump' && key !== 'goto') return new Set()
  const target = String(field(field(statement, key), 'target'))
  const ends = walk(rules, [family, table, target], datagram, depth + 1)
  // Whoever returns from a chain goes on after the jump, or after a goto at the jump before.
  if (ends.delete('return') || ends.has('on')) ends.add(key === 'goto' ? 'return' : 'on')
  if (key === 'goto') ends.delete('on')
  return ends
}

/** A verdict map: the verdict of each value that the datagram may have. */
function mapped(
  map: unknown,
  rules: readonly unknown[],
  place: readonly string[],
  datagram: Datagram,
  depth: number,
): Set<End> {
  const value = fieldOf(field(map, 'key'), datagram)
  const entries = field(field(map, 'data'), 'set')
  if (!Array.isArray(entries)) return new Set(['accept', 'drop', 'on'])
  const ends = new Set<End>()
  for (const [key, verdict] of entries) {
    const holds = compare(value, key)
    if (holds === 'no') continue
    for (const end of verdictsOf(verdict, rules, place, datagram, depth)) ends.add(end)
    if (holds === 'yes') return ends
  }
  return ends.add('on')
}
