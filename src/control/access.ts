import { isDeepStrictEqual } from 'node:util'
import ipaddr from 'ipaddr.js'
import type { Logger } from 'pino'
import { type AccessRule, GROUP, ICMP, type PortRange } from '../config/access-rule.js'
import type { Prefix } from '../config/addresses.js'
import type { PeerSettings, Settings } from '../config/schema.js'
import { formatKey } from '../key-text.js'
import { type AccessEntry, type AccessRules, ANY, ICMP_OF_VERSION } from '../memory/access-rules.js'
import { maskOf } from '../memory/prefixes.js'
import type { SignedRecord } from '../wire/signed-record.js'
import type { Clock } from './clock.js'
import { isIn, spanAround } from './span.js'

/** A peer, as the rules see it. */
export interface Sender {
  readonly row: number
  readonly settings: Pick<PeerSettings, 'name' | 'groups' | 'public_key' | 'record'>
}

/** Tells the workers who may send to this host. */
export class Access {
  readonly #table: AccessRules
  readonly #log: Logger
  readonly #clock: Pick<Clock, 'unixMs'>
  /** What the workers know. A change makes them judge all flows of peers again, and also fragments under way. */
  #entries: readonly AccessEntry[] | undefined
  #allow: Settings['allow']
  #peers: readonly Sender[] = []
  /** By public key: the record that a peer has given, which is later than that of the settings. */
  readonly #signed = new Map<string, SignedRecord>()
  /** At another time, other records have ended. */
  #holds = spanAround(0, [])
  /** Whom the log has named as nobody. */
  readonly #missed = new Set<string>()
  #second = 0

  constructor(table: AccessRules, log: Logger, clock: Pick<Clock, 'unixMs'>) {
    this.#table = table
    this.#log = log
    this.#clock = clock
  }

  /** These are the rules and the peers now. */
  configure(allow: Settings['allow'], peers: readonly Sender[]): void {
    this.#allow = allow
    this.#peers = peers
    this.#apply()
  }

  /** The record that the host with this public key has given; undefined: it has given none. */
  signed(publicKey: string, record: SignedRecord | undefined): void {
    if (record === undefined) this.#signed.delete(publicKey)
    else this.#signed.set(publicKey, record)
    this.#apply()
  }

  #apply(): void {
    const allow = this.#allow
    const ends = this.#peers.flatMap(({ settings }) => this.#recordOf(settings)?.endsS ?? [])
    this.#holds = spanAround(this.#nowS, ends)
    const peers = this.#peers.map(({ row, settings }) => ({
      row,
      name: settings.name,
      groups: this.groupsOf(settings),
    }))
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

  get #nowS(): number {
    return this.#clock.unixMs() / 1_000
  }

  /** The latest one. An earlier one does not count, also if the latest has ended. */
  #recordOf({ public_key, record }: Sender['settings']): SignedRecord | undefined {
    const given = public_key === undefined ? undefined : this.#signed.get(formatKey(public_key))
    return given ?? record
  }

  /** Of the settings, and of the signed record, if that has not ended. */
  groupsOf(settings: Sender['settings']): Set<string> {
    const record = this.#recordOf(settings)
    const isGood = record !== undefined && record.endsS > this.#nowS
    return new Set([...(settings.groups ?? []), ...(isGood ? record.groups : [])])
  }

  /** Must be called once a second. */
  tick(): void {
    // A record has ended, or somebody has set the clock.
    if (!isIn(this.#holds, this.#nowS)) this.#apply()
    this.#table.tick(++this.#second)
  }
}

interface NamedPeer {
  readonly row: number
  readonly name: string
  readonly groups: ReadonlySet<string>
}

function isNamed({ name, groups }: NamedPeer, wanted: string): boolean {
  return wanted.startsWith(GROUP) ? groups.has(wanted.slice(GROUP.length)) : name === wanted
}

/** A rule as entries of the table: one for each network and each range of ports. */
export function entriesOf(
  { from, to, protocol, ports }: AccessRule,
  peers: readonly NamedPeer[],
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
