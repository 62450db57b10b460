import type { Prefix } from '../config/addresses.js'
import { HostNaming } from './host-naming.js'
import { HostRoutes, type HostRoutesOptions, type RoutesOutcome } from './host-routes.js'
import type { NamedHost } from './hosts-block.js'
import { takeBack } from './undo.js'

/** Routes, rules, name servers and all else that a tunnel sets on this host beside its device. */
export class HostSide {
  readonly #options: HostRoutesOptions
  readonly #routes: HostRoutes
  readonly #naming: HostNaming

  constructor(options: HostRoutesOptions) {
    this.#options = options
    this.#routes = new HostRoutes(options)
    this.#naming = new HostNaming(options)
  }

  get tables(): number[] {
    return this.#routes.tables
  }

  setRoutes(prefixes: readonly Prefix[], endpoints: readonly string[]): Promise<RoutesOutcome> {
    return this.#routes.setRoutes(prefixes, endpoints)
  }

  setNames(dns: readonly string[]): Promise<string | undefined> {
    return this.#naming.setNames(dns)
  }

  setHosts(suffix: string, hosts: readonly NamedHost[]): Promise<readonly string[]> {
    return this.#naming.setHosts(suffix, hosts)
  }

  /** Takes back all, the last change first. */
  async undo(): Promise<void> {
    const { netlink, journal } = this.#options
    await takeBack(netlink, journal, journal.changes)
    journal.close()
  }
}
