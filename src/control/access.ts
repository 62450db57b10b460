import { isDeepStrictEqual } from 'node:util'
import ipaddr from 'ipaddr.js'
import type { Logger } from 'pino'
import { type AccessRule, GROUP, ICMP, type PortRange } from '../config/access-rule.js'
import type { PeerSettings, Settings } from '../config/schema.js'
import type { Prefix } from '../config/values.js'
import { type AccessEntry, type AccessRules, ANY, ICMP_OF_VERSION } from '../memory/access-rules.js'
import { maskOf } from '../memory/routes.js'

/** A peer, as the rules see it. */
export interface Sender {
  readonly row: number
  readonly settings: Pick<PeerSettings, 'name' | 'groups' | 'record'>
}

/** Tells the workers who may send to this host. */
export class Access {
  readonly #table: AccessRules
  readonly #log: Logger
  /** What the workers know. A change makes them judge all flows of peers again, and also fragments under way. */
  #entries: readonly AccessEntry[] | undefined
  /** Whom the log has named as nobody. */
  readonly #missed = new Set<string>()
  #second = 0

  constructor(table: AccessRules, log: Logger) {
    this.#table = table
    this.#log = log
  }

  /** These are the rules and the peers now. */
  configure(allow: Settings['allow'], peers: readonly Sender[]): void {
    const entries = allow?.flatMap((rule) => entriesOf(rule, peers))
    if (!isDeepStrictEqual(entries, this.#entries)) this.#table.set(entries)
    this.#entries = entries
    for (const name of (allow ?? []).flatMap(({ from = [] }) => from)) {
      if (this.#missed.has(name) || peers.some((peer) => isNamed(peer, name))) continue
      this.#missed.add(name)
      this.#log.warn(
        `allow names ${name}, but no peer is ${name.startsWith(GROUP) ? 'in that group' : 'called so'} now; such a peer may come later, otherwise correct the name`,
      )
    }
  }

  /** Must be called once a second. */
  tick(): void {
    this.#table.tick(++this.#second)
  }
}

function isNamed({ settings: { name, groups = [], record } }: Sender, wanted: string): boolean {
  if (!wanted.startsWith(GROUP)) return name === wanted
  const group = wanted.slice(GROUP.length)
  return groups.includes(group) || (record?.groups.includes(group) ?? false)
}

/** A rule as entries of the table: one for each network and each range of ports. */
export function entriesOf(
  { from, to, protocol, ports }: AccessRule,
  peers: readonly Sender[],
): AccessEntry[] {
  const some = from === undefined ? peers : peers.filter((peer) => from.some((name) => isNamed(peer, name)))
  const rows = some.map(({ row }) => row)
  const places = to?.map(placeOf) ?? [{ version: 0, prefix: [], mask: [] } as const]
  const ranges: readonly PortRange[] = ports ?? [{ first: ANY, last: ANY }]
  return places.flatMap((place) =>
    ranges.map(({ first, last }) => ({
      rows,
      ...place,
      protocol: protocol === ICMP ? ICMP_OF_VERSION : (protocol ?? ANY),
      firstPort: first,
      lastPort: last,
    })),
  )
}

function placeOf({ address, prefixLength }: Prefix): Pick<AccessEntry, 'version' | 'prefix' | 'mask'> {
  const bytes = Uint8Array.from(ipaddr.parse(address).toByteArray())
  const view = new DataView(bytes.buffer)
  const mask = maskOf(prefixLength, bytes.length / 4)
  return {
    version: bytes.length === 4 ? 4 : 6,
    prefix: mask.map((word, index) => view.getInt32(4 * index) & word),
    mask,
  }
}
