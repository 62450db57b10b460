import type { Logger } from 'pino'
import type { Settings } from '../config/schema.js'
import { formatPrefix } from '../config/values.js'
import type { Faults } from './faults.js'
import { type MissingRoutes, missingRoutes, prefixesOf, sentenceOf } from './missing-routes.js'
import type { Peer } from './peer/peer.js'
import type { Roster } from './peer/roster.js'
import type { Device, Network } from './platform.js'

export interface RouteWarningOptions {
  readonly settings: Settings
  readonly network: Network
  readonly device: Device
  readonly roster: Roster<Peer>
  readonly log: Logger
  readonly faults: Faults
}

/** Warns in mode tun if the kernel does not send what is for the peers by the tunnel's device. */
export class RouteWarning {
  readonly #options: RouteWarningOptions
  /** What was missing at the last look. */
  #missing: ReadonlySet<string> = new Set()

  constructor(options: RouteWarningOptions) {
    this.#options = options
  }

  /** Warns if something is missing that was not missing at the last look. */
  look(): void {
    const { settings, device, log, faults } = this.#options
    if (settings.mode !== 'tun' || settings.routes === 'off') return
    const missing = faults.run('routes', () => this.#find())
    const sentence = missing && sentenceOf(missing, device.name)
    const names = missing === undefined ? [] : [...missing.around, ...missing.simple].map(formatPrefix)
    const before = this.#missing
    this.#missing = new Set(names)
    if (sentence !== undefined && names.some((name) => !before.has(name)))
      log.warn({ device: device.name, missing_routes: names }, sentence)
  }

  #find(): MissingRoutes {
    const { settings, network, roster } = this.#options
    const nobody = () => false
    return missingRoutes({
      prefixes: prefixesOf(roster.all.map((peer) => peer.settings)),
      local: settings.local,
      endpoints: roster.all.flatMap(({ endpoint }) => endpoint?.address ?? []),
      leavesByDevice: (address) => network.wayTo(address, nobody).kind === 'inside',
    })
  }
}
