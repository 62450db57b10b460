import type { Logger } from 'pino'
import {
  type DeviceConfiguration,
  type PeerConfiguration,
  type SetOperation,
  wipeOperation,
} from '../../command/wireguard/operation.js'
import type { Configurable } from '../../command/wireguard/server.js'
import { MAX_OVERLAY, MAX_PEERS, type PeerSettings } from '../../config/schema.js'
import { UserError } from '../../errors.js'
import { EINVAL, KernelError } from '../../linux/errno.js'
import { wipeUnusedIdentities } from '../../noise/keys.js'
import { PUBLIC_KEY_BYTES } from '../../wire/wireguard.js'
import type { Listening } from '../listening.js'
import type { Peer } from '../peer/peer.js'
import type { PeerChanges } from '../peer/peers.js'
import type { Roster } from '../peer/roster.js'
import type { Platform } from '../platform.js'
import type { Wanted } from '../reload.js'
import type { PrivateSide } from './private-side.js'
import { allowedIpsOf, endpointIn, wantedPeers } from './wanted-peers.js'

export interface ConfigurationOptions {
  readonly platform: Pick<Platform, 'clock' | 'socket'>
  readonly roster: Roster<Peer>
  readonly listening: Pick<Listening, 'moveTo'>
  readonly privateSide: PrivateSide
  readonly log: Logger
  /** The routes to the peers may be others now. */
  readonly onRoutes: () => void
  /**
   * Changes the peers to those that `wanted` makes of the running ones, in turn with reloads. Changes nothing if
   * `wanted` gives an errno. @throws UserError for impossible keys
   */
  readonly change: (
    wanted: (running: readonly PeerSettings[]) => Wanted | number,
  ) => Promise<PeerChanges | number>
}

const NO_KEY: Uint8Array = new Uint8Array(PUBLIC_KEY_BYTES)

/** A private tunnel as wg(8) sees it: its configuration is read and changed at run time. */
export class Configuration implements Configurable {
  readonly #options: ConfigurationOptions

  constructor(options: ConfigurationOptions) {
    this.#options = options
  }

  get(): DeviceConfiguration {
    const { platform, privateSide, roster } = this.#options
    return {
      privateKey: privateSide.ownKey.privateKey,
      listenPort: platform.socket.local.port,
      fwmark: platform.socket.mark,
      peers: roster.all.map((peer) => this.#peer(peer)),
    }
  }

  #peer(peer: Peer): PeerConfiguration {
    const { platform, privateSide } = this.#options
    const { clock } = platform
    const { settings, endpoint } = peer
    const { acquaintance, handshakeMs } = privateSide.peer(peer.row) ?? {}
    const { inbound, outbound } = peer.status()
    return {
      publicKey: settings.public_key ?? NO_KEY,
      presharedKey: acquaintance?.presharedKey ?? NO_KEY,
      // Where it is itself: an introducer's endpoint would be taken for its own.
      endpoint: (peer.isRelayed ? undefined : endpoint) ?? endpointIn(settings),
      lastHandshakeMs:
        handshakeMs === undefined ? undefined : clock.unixMs() - (clock.bootMs() - handshakeMs),
      txBytes: outbound.bytes,
      rxBytes: inbound.bytes,
      persistentKeepaliveS: settings.persistent_keepalive ?? 0,
      allowedIps: allowedIpsOf(settings),
    }
  }

  /** @returns 0; or an errno, and nothing has changed */
  async set(operation: SetOperation): Promise<number> {
    try {
      const { change, log } = this.#options
      const changes = await change((running) => this.#wanted(running, operation))
      if (typeof changes === 'number') return changes
      const some = Object.entries(changes).filter(([, names]) => names.length > 0)
      const text = some.map(([what, names]) => `${names.length} ${what}`).join(', ')
      if (some.length > 0) log.info({ ...changes }, `wg has changed the peers: ${text}`)
      return 0
    } catch (error) {
      if (error instanceof UserError) return EINVAL
      throw error
    } finally {
      wipeOperation(operation)
      wipeUnusedIdentities()
    }
  }

  /**
   * Sends and receives as is asked for, when nothing else can be refused any more.
   * @returns the rest, or an errno @throws UserError for impossible keys
   */
  #wanted(running: readonly PeerSettings[], operation: SetOperation): Wanted | number {
    const { ownKey } = this.#options.privateSide
    const { privateKey: key } = operation
    const identity = key === undefined ? undefined : ownKey.identityWith(key)
    const own = identity === undefined ? ownKey.identity : identity.own
    const wanted = wantedPeers(running, operation, own?.publicKey)
    if (typeof wanted === 'number') {
      this.#options.log.warn(
        `wg wants more than ${MAX_PEERS} peers, or more than ${MAX_OVERLAY} networks, and no more fit here; nothing has changed`,
      )
      return wanted
    }
    for (const peer of wanted.peers) if (!running.includes(peer)) this.#options.privateSide.check(peer, own)
    const errno = this.#send(operation)
    if (errno !== 0) return errno
    return { ...wanted, identity }
  }

  /** Sends and receives as is asked for. @returns 0; or an errno, and nothing has changed */
  #send({ listenPort, fwmark }: SetOperation): number {
    const before = this.#options.platform.socket.mark
    const refused = this.#markWith(fwmark)
    if (refused !== 0) return refused
    const busy = this.#listenOn(listenPort)
    if (busy !== 0) this.#markWith(before)
    return busy
  }

  #markWith(mark: number | undefined): number {
    const { platform, onRoutes } = this.#options
    const { socket } = platform
    if (mark === undefined || mark === socket.mark) return 0
    try {
      socket.setMark(mark)
    } catch (error) {
      if (!(error instanceof KernelError)) throw error
      return error.errno
    }
    onRoutes()
    return 0
  }

  /** @returns 0; or an errno, and it listens where it did */
  #listenOn(port: number | undefined): number {
    const { listening, platform } = this.#options
    return port === undefined || port === platform.socket.local.port ? 0 : listening.moveTo(port)
  }
}
