import type { DeviceConfiguration } from '../command/wireguard/operation.js'
import { deferred } from './deferred.js'
import type { Device } from './device.js'
import { loadPrivateSide, type Parts, type PartsOptions } from './parts.js'
import type { Configuration } from './private/configuration.js'
import type { Reloader } from './reload.js'

export interface WgSideOptions {
  readonly tunnel: PartsOptions
  readonly parts: Parts
  readonly opened: Device
  readonly reloader: Reloader
  /** Called when wg(8) has changed the peers. */
  readonly onPeers: () => void
  /** Called when it has changed the mark of datagrams, so that they may go another way. */
  readonly onMark: () => void
}

/** What wg(8) has of a tunnel. It knows only those of mode tun that speak WireGuard. */
export class WgSide {
  readonly #options: WgSideOptions
  readonly #removed = deferred<string>()
  #configuration: Configuration | undefined

  constructor(options: WgSideOptions) {
    this.#options = options
  }

  /** Resolves with a sentence when somebody has removed the socket, if the tunnel cannot be without it. */
  get removed(): Promise<string> {
    return this.#removed.promise
  }

  /** A sentence if the device is gone, and the tunnel is one that ends with it. */
  get deleted(): string | undefined {
    const { tunnel, opened } = this.#options
    if (tunnel.wgDevice === undefined || opened.link() !== undefined) return undefined
    return `somebody has deleted ${opened.name}`
  }

  /** What `wg showconf` shows; undefined if wg(8) does not know this tunnel. */
  get configuration(): DeviceConfiguration | undefined {
    return this.#configuration?.get()
  }

  /** @returns a function that removes the socket */
  async serve(): Promise<() => void> {
    const { tunnel, parts, opened, reloader, onPeers, onMark } = this.#options
    const { settings, platform, log, wgDevice } = tunnel
    const { listening, privateSide, roster } = parts
    if (privateSide === undefined || settings.mode !== 'tun') return () => {}
    const { Configuration } = await loadPrivateSide()
    const configuration = new Configuration({
      platform,
      privateSide,
      roster,
      listening,
      log,
      onRoutes: onMark,
      change: (wanted) => reloader.change(wanted, onPeers),
    })
    this.#configuration = configuration
    const remove = () => this.#removed.resolve(`somebody has removed the socket of ${opened.name}`)
    return platform.serveWireGuard(opened, configuration, wgDevice === undefined ? undefined : remove)
  }
}
