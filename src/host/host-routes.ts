import { formatPrefix, type LocalAddress, type Network, type Prefix } from '../config/addresses.js'
import { RT_TABLE_MAIN } from '../linux/constants.js'
import { EEXIST, KernelError } from '../linux/errno.js'
import type { Netlink } from '../linux/netlink.js'
import { addDeviceRoute, type DeviceRoute, listRoutes } from '../linux/route.js'
import { addRule, type Rule } from '../linux/rule.js'
import type { Change } from './change.js'
import { defaultRulesNow, freeTable } from './default-route.js'
import { makeFirewall, replaceFirewall } from './firewall.js'
import type { Journal } from './journal.js'
import { planDirect, planRoutes, uncovered } from './route-plan.js'
import { neededSysctls, readSysctl, takeBack, writeSysctl } from './undo.js'

export interface HostRoutesOptions {
  /** A strict one. */
  readonly netlink: Netlink
  readonly journal: Journal
  readonly device: { readonly name: string; readonly index: number }
  /** The overlay addresses of this host. */
  readonly local: readonly LocalAddress[]
  /** Where routes are made: as wg-quick(8) does by itself, nowhere, or in this table. */
  readonly table: 'auto' | 'off' | number
  /** Whether the device is in another network namespace than the tunnel's sockets. */
  readonly apart: boolean
  /** The mark of the tunnel's own datagrams. */
  readonly socket: { readonly mark: number; setMark(mark: number): void }
}

/** Why something could not be made. */
export interface Refusal {
  /** Whether something of the same kind is in its way, so that a person has to remove that first. */
  readonly isTaken: boolean
  readonly why: string
}

/** What could not be made, and a sentence for each thing that a person should know. */
export interface RoutesOutcome {
  /** The networks to which no route could be made, and why. */
  readonly refused: ReadonlyMap<string, Refusal>
  /** The networks whose routes were made before, had gone, and are made again. */
  readonly restored: readonly string[]
  readonly notes: readonly string[]
}

type Family = Prefix['family']

const FAMILIES = ['ipv4', 'ipv6'] as const

/** What was made so that packets find a table, and that table. */
interface Lead {
  readonly table: number
  readonly changes: readonly Change[]
}

/** Makes reverse-path filtering look at marks (ip-sysctl in the kernel's documentation). */
const SRC_VALID_MARK = 'net/ipv4/conf/all/src_valid_mark'

/** The routes to a tunnel's peers, and the rules that lead packets to them. */
export class HostRoutes {
  readonly #options: HostRoutesOptions
  /** The routes that were made, by their networks. */
  readonly #routes = new Map<string, Change & DeviceRoute>()
  /** What leads to the tunnel's own table, for each family that has a route there. */
  readonly #rules = new Map<Family, Lead>()
  readonly #refused = new Map<string, Refusal>()
  /** The routes that were found gone in this turn. */
  readonly #gone: string[] = []
  readonly #notes: string[] = []

  constructor(options: HostRoutesOptions) {
    this.#options = options
  }

  /** The tables that have routes that were made here, by their numbers, the least first. */
  get tables(): number[] {
    return [...new Set([...this.#routes.values()].map(({ table }) => table))].sort((a, b) => a - b)
  }

  /**
   * Makes routes to these networks, and takes back those that were made to others. Routes that were there before
   * stay.
   * @param endpoints the addresses where the peers are, without a zone
   */
  async setRoutes(prefixes: readonly Prefix[], endpoints: readonly string[]): Promise<RoutesOutcome> {
    this.#refused.clear()
    this.#gone.length = 0
    this.#notes.length = 0
    const { table } = this.#options
    if (table === 'auto') await this.#setAuto(prefixes, endpoints)
    else if (table !== 'off') await this.#setIn(table, prefixes)
    if (this.#options.journal.isLost)
      this.#note(
        'the state directory cannot be written, so what is set on this host stays if this program is killed; make /var/lib/udptun-fast writable',
      )
    const restored = this.#gone.flatMap((key) => {
      const route = this.#routes.get(key)
      return route === undefined ? [] : [formatPrefix(route)]
    })
    return { refused: new Map(this.#refused), restored, notes: [...this.#notes] }
  }

  async #setIn(table: number, prefixes: readonly Prefix[]): Promise<void> {
    await this.#dropOthers(prefixes.map((prefix) => this.#route(prefix, table)))
    for (const family of FAMILIES) this.#presentIn(table, family)
    this.#addRoutes(prefixes, table)
  }

  async #setAuto(prefixes: readonly Prefix[], endpoints: readonly string[]): Promise<void> {
    const { apart } = this.#options
    const { direct, byRule } = apart ? planDirect(prefixes) : planRoutes(prefixes, endpoints)
    const table = byRule.length === 0 ? 0 : this.#ownTable()
    const wanted = [
      ...direct.map((prefix) => this.#route(prefix, RT_TABLE_MAIN)),
      ...byRule.map((prefix) => this.#route(prefix, table)),
    ]
    // Where rules lead stays as it is until others lead elsewhere. Meanwhile nothing may go by the host's default route.
    await this.#dropOthers(wanted, this.#ledTo())
    for (const family of FAMILIES) {
      const rest = byRule.filter((it) => it.family === family)
      if (rest.length > 0) await this.#lead(family, rest, table)
      else await this.#takeBack(this.#rules.get(family)?.changes ?? [])
      if (rest.length === 0) this.#rules.delete(family)
      const plain = direct.filter((it) => it.family === family)
      if (plain.length === 0) continue
      this.#addRoutes(uncovered(plain, this.#presentIn(RT_TABLE_MAIN, family)), RT_TABLE_MAIN)
    }
    const led = this.#ledTo()
    led.delete(table)
    await this.#dropOthers(wanted, led)
  }

  /** The tables to which rules lead. */
  #ledTo(): Set<number> {
    return new Set([...this.#rules.values()].map(({ table }) => table))
  }

  /**
   * The networks to which a table has routes by the device. What was made and is not there any more is forgotten, so that it is
   * made again: the kernel removes all of them when the device is set down.
   */
  #presentIn(table: number, family: Family): readonly Network[] {
    const { netlink, journal, device } = this.#options
    const present = listRoutes(netlink, { family, table, index: device.index })
    const keys = new Set(present.map((it) => keyOf({ ...it, table })))
    const gone = [...this.#routes].filter(
      ([key, it]) => it.table === table && it.address.includes(':') === (family === 'ipv6') && !keys.has(key),
    )
    for (const [key] of gone) this.#routes.delete(key)
    this.#gone.push(...gone.map(([key]) => key))
    journal.drop(gone.map(([, route]) => route))
    return present
  }

  /** The table's number is also the mark. If somebody has taken the mark away, it is what it was. */
  #ownTable(): number {
    const { netlink, socket } = this.#options
    const [before] = this.#ledTo()
    if (socket.mark === 0) socket.setMark(before ?? freeTable(netlink))
    return socket.mark
  }

  #route({ address, prefixLength }: Prefix, table: number): Change & DeviceRoute {
    return { kind: 'route', address, prefixLength, index: this.#options.device.index, table }
  }

  /** Takes back the routes that are not wanted any more. @param spared tables that stay as they are */
  async #dropOthers(wanted: readonly DeviceRoute[], spared: ReadonlySet<number> = new Set()): Promise<void> {
    const keys = new Set(wanted.map(keyOf))
    const others = [...this.#routes].filter(([key, { table }]) => !keys.has(key) && !spared.has(table))
    await this.#takeBack(others.map(([, route]) => route))
    for (const [key] of others) this.#routes.delete(key)
  }

  /** @returns whether all of them are there */
  #addRoutes(prefixes: readonly Prefix[], table: number): boolean {
    const { journal, netlink } = this.#options
    const routes = prefixes
      .map((prefix) => this.#route(prefix, table))
      .filter((it) => !this.#routes.has(keyOf(it)))
    journal.add(routes)
    const refused = routes.filter((route) => {
      const error = errorOf(() => addDeviceRoute(netlink, route))
      if (error === undefined) this.#routes.set(keyOf(route), route)
      else this.#refused.set(formatPrefix(route), refusalOf(error))
      return error !== undefined
    })
    journal.drop(refused)
    return refused.length === 0
  }

  /** Leads what is for these networks into the tunnel's own table, and by it to the device. */
  async #lead(family: Family, prefixes: readonly Prefix[], table: number): Promise<void> {
    this.#presentIn(table, family)
    const before = this.#rules.get(family)
    if (!this.#addRoutes(prefixes, table) || before?.table === table) return
    const { netlink } = this.#options
    const [old, kept] = split(before?.changes ?? [], ({ kind }) => kind === 'rule')
    // The rules come last: from then on, packets go this way.
    const firewall = await this.#makeFirewall(family, table, kept)
    const sysctls = before === undefined && family === 'ipv4' ? await this.#heedMarks() : []
    const beside = [...kept.filter(({ kind }) => kind !== 'firewall'), ...firewall, ...sysctls]
    const made: Change[] = []
    for (const rule of defaultRulesNow(netlink, family, table)) {
      const error = this.#addRule(rule, made)
      if (error === undefined) continue
      for (const prefix of prefixes) this.#refused.set(formatPrefix(prefix), refusalOf(error))
      await this.#takeBack(made)
      if (before === undefined) await this.#takeBack(beside)
      else await this.#makeFirewall(family, before.table, kept)
      return
    }
    this.#rules.set(family, { table, changes: [...beside, ...made] })
    await this.#takeBack(old)
  }

  /** @param made gets the rule if it could be made @returns the error if it could not */
  #addRule(rule: Rule, made: Change[]): KernelError | undefined {
    const { journal, netlink } = this.#options
    const change: Change = { kind: 'rule', ...rule }
    journal.add([change])
    const error = errorOf(() => addRule(netlink, rule))
    if (error === undefined) made.push(change)
    else journal.drop([change])
    return error
  }

  /** @param before what there is already: its firewall is replaced by one for this mark */
  async #makeFirewall(family: Family, mark: number, before: readonly Change[]): Promise<Change[]> {
    const { journal, device, local } = this.#options
    const pf = family === 'ipv4' ? 'ip' : 'ip6'
    const table = `udptun-fast-${device.name}`
    const addresses = local.filter((it) => it.family === family).map(({ address }) => address)
    const options = { family: pf, table, device: device.name, addresses, mark } as const
    const known = before.find(({ kind }) => kind === 'firewall')
    if (known !== undefined) {
      await replaceFirewall(options)
      return [known]
    }
    const change: Change = { kind: 'firewall', family: pf, table }
    journal.add([change])
    const ended = await makeFirewall(options)
    if (ended?.ok) return [change]
    journal.drop([change])
    this.#note(
      `no rules of nftables are set (${ended === undefined ? 'there is no nft' : ended.said}): packets from neighbours on the underlay for the addresses of ${device.name} are not dropped, and with strict reverse-path filtering (rp_filter=1) nothing comes back; install nftables`,
    )
    return []
  }

  /** Makes strict reverse-path filtering heed the marks that answers get. */
  async #heedMarks(): Promise<Change[]> {
    const { journal } = this.#options
    const needed = await neededSysctls(journal)
    const name = SRC_VALID_MARK
    const now = readSysctl(name)
    const before = needed.get(name) ?? now
    if (before === '1') return []
    const change: Change = { kind: 'sysctl', name, before, value: '1' }
    journal.add([change])
    try {
      if (now !== '1') writeSysctl(name, '1')
      return [change]
    } catch (error) {
      journal.drop([change])
      this.#note(
        `/proc/sys/${name} cannot be set (${(error as NodeJS.ErrnoException).code}); with strict reverse-path filtering (rp_filter=1) nothing comes back, so set it to 1`,
      )
      return []
    }
  }

  #note(sentence: string): void {
    if (!this.#notes.includes(sentence)) this.#notes.push(sentence)
  }

  #takeBack(changes: readonly Change[]): Promise<void> {
    const { netlink, journal } = this.#options
    return takeBack(netlink, journal, changes)
  }
}

function keyOf({ address, prefixLength, table }: Omit<DeviceRoute, 'index'>): string {
  return `${address}/${prefixLength} ${table}`
}

function errorOf(work: () => void): KernelError | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    if (error instanceof KernelError) return error
    throw error
  }
}

function refusalOf({ errno, message }: KernelError): Refusal {
  const isTaken = errno === EEXIST
  return { isTaken, why: isTaken ? 'there is another route or rule of the same kind already' : message }
}

/** Those for which `is` holds, and the others. */
function split<T>(all: readonly T[], is: (it: T) => boolean): [T[], T[]] {
  return [all.filter(is), all.filter((it) => !is(it))]
}
