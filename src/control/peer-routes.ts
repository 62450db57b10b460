import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import { formatPrefix, type Prefix } from '../config/addresses.js'
import type { Settings } from '../config/schema.js'
import type { Refusal, RoutesOutcome } from '../host/host-routes.js'
import type { NamedHost } from '../host/hosts-block.js'
import { KernelError } from '../linux/errno.js'
import type { Device } from './device.js'
import type { Faults } from './faults.js'
import { firstFew } from './first-few.js'
import {
  type MissingRoutes,
  missingRoutes,
  prefixesOf,
  sentenceOf,
  sentenceOfDown,
} from './missing-routes.js'
import type { Peer } from './peer/peer.js'
import type { Roster } from './peer/roster.js'
import type { HostSide, Platform } from './platform.js'
import { SaidOnce } from './said-once.js'

export interface PeerRoutesOptions {
  readonly settings: Settings
  readonly platform: Pick<Platform, 'network' | 'openHostSide'>
  readonly device: Device
  readonly roster: Roster<Peer>
  readonly log: Logger
  readonly faults: Faults
}

/**
 * In mode tun, makes this host's routes to the peers, and warns if the kernel does not send what is for them by the
 * tunnel's device. Also sets name servers, and names the peers in /etc/hosts.
 */
export class PeerRoutes {
  readonly #options: PeerRoutesOptions
  readonly #hostSide: HostSide
  /** What was missing at the last look. */
  #missing: ReadonlySet<string> = new Set()
  /** What the kernel sent by the device when it was asked. */
  #led: ReadonlySet<string> = new Set()
  /** Why routes could not be made at the last try, by network. */
  #refused: ReadonlyMap<string, Refusal> = new Map()
  /** The peers that had not been found at the last call of {@link follow}, and whose routes wait. */
  #waited: ReadonlySet<Peer> = new Set()
  /** What was given names last. */
  #hosts: readonly NamedHost[] = []
  #turn: Promise<void> = Promise.resolve()
  readonly #once: SaidOnce

  constructor(options: PeerRoutesOptions) {
    this.#options = options
    this.#once = new SaidOnce(options.log)
    this.#hostSide = options.platform.openHostSide(options.settings, options.device)
  }

  /** The tables that have routes to the peers that were made here, by their numbers. */
  get tables(): readonly number[] {
    return this.#hostSide.tables
  }

  /** The networks of peers that were not led by the device at the last look. */
  get missing(): readonly string[] {
    return [...this.#missing]
  }

  /** Makes the routes to the peers that there are, and takes back those to others. One call after the other. */
  follow(): Promise<void> {
    this.#turn = this.#turn.then(() => this.#follow()).then(() => this.#followHosts())
    return this.#turn
  }

  /** Makes the routes that have waited for a peer, if it has been found. @returns whether there may be others now */
  async followFound(): Promise<boolean> {
    const before = this.#waited
    if (before.size === 0 || this.#waiting.length === before.size) return false
    await this.follow()
    this.look()
    return true
  }

  async #follow(): Promise<void> {
    const { settings, log, faults, device } = this.#options
    if (settings.mode !== 'tun' || settings.table === 'off') return
    this.#waited = new Set(this.#waiting)
    for (const { name } of this.#waited)
      this.#once.say(
        `the routes that lead all traffic to ${device.name} wait until ${name} is found, because name servers could not be asked otherwise; until then traffic goes out by the old default route, unencrypted`,
      )
    try {
      const outcome = await this.#hostSide.setRoutes([...this.#prefixes.values()], this.#endpoints)
      this.#refused = outcome.refused
      for (const note of outcome.notes) this.#once.say(note)
      this.#tellRestored(outcome)
      if (typeof settings.table === 'number') this.#tellRefused(settings.table, outcome)
    } catch (error) {
      if (error instanceof KernelError)
        log.warn(`the kernel refused to list or make routes (${error.message}); set them with: ip route`)
      else faults.take('routes', error)
    }
  }

  /** Names the peers in /etc/hosts, if their names or addresses are others than at the last call. */
  async #followHosts(): Promise<void> {
    const { settings, roster, faults } = this.#options
    if (settings.hosts === undefined) return
    const hosts = roster.all
      .filter(({ settings: { addresses } }) => addresses.length > 0)
      .map(({ name, settings: { addresses } }) => ({ name, addresses }))
    if (isDeepStrictEqual(hosts, this.#hosts)) return
    this.#hosts = hosts
    try {
      for (const sentence of await this.#hostSide.setHosts(settings.hosts, hosts)) this.#once.say(sentence)
    } catch (error) {
      faults.take('routes', error)
    }
  }

  /** Warns if something is missing that was not missing at the last look. */
  look(): void {
    this.#led = new Set()
    this.lookAtOthers()
  }

  /** The same, when members have come or gone. The kernel is not asked again for what was good at the last look. */
  lookAtOthers(): void {
    const { settings, device, log, faults } = this.#options
    // Who uses a table of its own has rules that lead there, or will have them.
    if (settings.mode !== 'tun' || settings.table !== 'auto') return
    const missing = faults.run('routes', () => this.#find())
    const sentence = missing && faults.run('routes', () => this.#sentenceOf(missing))
    const names = missing === undefined ? [] : [...missing.around, ...missing.simple].map(formatPrefix)
    const before = this.#missing
    this.#missing = new Set(names)
    if (sentence !== undefined && names.some((name) => !before.has(name)))
      log.warn({ device: device.name, missing_routes: names }, sentence)
  }

  async setNames(): Promise<void> {
    const { settings, faults } = this.#options
    try {
      const sentence = await this.#hostSide.setNames(settings.dns)
      if (sentence !== undefined) this.#once.say(sentence)
    } catch (error) {
      faults.take('routes', error)
    }
  }

  #sentenceOf(missing: MissingRoutes): string | undefined {
    if (missing.simple.length + missing.around.length === 0) return undefined
    const { device } = this.#options
    const { name } = device
    // The kernel makes no route by a device that is down.
    return device.link()?.up === false
      ? sentenceOfDown(missing, name)
      : sentenceOf(missing, name, this.#refused)
  }

  #tellRestored({ restored }: RoutesOutcome): void {
    if (restored.length === 0) return
    const { name } = this.#options.device
    this.#options.log.warn(`routes by ${name} to ${firstFew(restored)} had been removed, and are made again`)
  }

  #tellRefused(table: number, { refused }: RoutesOutcome): void {
    if (refused.size === 0) return
    const each = [...refused].map(([name, { why }]) => `${name} (${why})`).join(', ')
    this.#once.say(`table ${table} has no routes by ${this.#options.device.name} to ${each}`)
  }

  /** The peers for all traffic whose names have not been found yet. In another namespace, no route is in their way. */
  get #waiting(): Peer[] {
    if (this.#options.settings.netns !== undefined) return []
    return this.#options.roster.all.filter(
      ({ endpoint, settings }) =>
        endpoint === undefined && settings.endpoint !== undefined && settings.prefixes.some(isForAll),
    )
  }

  get #prefixes() {
    return prefixesOf(
      this.#options.roster.all.map((peer) => {
        if (!this.#waited.has(peer)) return peer.settings
        const { addresses, prefixes } = peer.settings
        return { addresses, prefixes: prefixes.filter((it) => !isForAll(it)) }
      }),
    )
  }

  /** Where the tunnel's own datagrams go, in the namespace of the routes. */
  get #endpoints(): string[] {
    if (this.#options.settings.netns !== undefined) return []
    return this.#options.roster.all.flatMap(({ endpoint }) => endpoint?.address.split('%')[0] ?? [])
  }

  #find(): MissingRoutes {
    const { settings, platform } = this.#options
    const all = this.#prefixes
    const asked = [...all].filter(([text]) => !this.#led.has(text))
    const missing = missingRoutes({
      prefixes: asked.map(([, prefix]) => prefix),
      local: settings.local,
      endpoints: this.#endpoints,
      leavesByDevice: (address) => platform.network.leavesByDevice(address),
    })
    for (const it of [...missing.simple, ...missing.around]) all.delete(formatPrefix(it))
    this.#led = new Set(all.keys())
    return missing
  }
}

/** All addresses, or one half of them: people write two halves to say all. */
function isForAll({ prefixLength }: Prefix): boolean {
  return prefixLength <= 1
}
