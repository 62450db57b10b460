import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import type { PeerSettings, Settings } from '../config/schema.js'
import { UserError } from '../errors.js'
import type { PeerChanges, Peers } from './peer/peers.js'

/** The names of the peers, and the keys of the settings that changed without effect. */
export interface ReloadReport extends PeerChanges {
  readonly needs_restart: readonly string[]
}

export interface ReloaderOptions {
  /** The settings that the tunnel was started with. */
  readonly settings: Settings
  /** Returns the present settings; undefined if they come from no file. @throws UserError if they are wrong */
  readonly reread: (() => Settings) | undefined
  readonly peers: Peers
  readonly log: Logger
}

/** The peers that somebody wants instead of the running ones. */
export interface Wanted {
  readonly peers: readonly PeerSettings[]
  /** As in {@link Peers.apply}. */
  readonly placed: ReadonlySet<string>
}

/** The only way to other peers: reads the settings again, or takes what wg(8) sets. */
export class Reloader {
  readonly #options: ReloaderOptions
  #trouble: string | undefined
  /** The changes that are running or waiting. */
  #changes: Promise<unknown> = Promise.resolve()

  constructor(options: ReloaderOptions) {
    this.#options = options
  }

  /** Why the last reload has changed nothing; undefined if it has, or if there was none. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /**
   * Changes run one after the other.
   * @param then called when the peers have changed
   * @returns what was changed
   * @throws UserError if the file is wrong, or if there is none (nothing has changed then), or when the tunnel
   *   stops
   */
  reload(then: () => void): Promise<ReloadReport> {
    return this.#inTurn(async () => {
      try {
        const report = await this.#reload(then)
        this.#trouble = undefined
        return report
      } catch (error) {
        this.#trouble = (error as Error).message
        throw error
      }
    })
  }

  /**
   * @param wanted makes the wanted peers of the running ones; or an errno, and then nothing changes
   * @param then called when the peers have changed
   * @throws UserError for impossible keys (nothing has changed then), or when the tunnel stops
   */
  change(
    wanted: (running: readonly PeerSettings[]) => Wanted | number,
    then: () => void,
  ): Promise<PeerChanges | number> {
    return this.#inTurn(async () => {
      const { settings } = this.#options.peers
      const now = wanted(settings.peers)
      if (typeof now === 'number') return now
      const changes = await this.#apply({ ...settings, peers: now.peers }, now.placed)
      then()
      return changes
    })
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#changes.then(work)
    this.#changes = done.catch(() => {})
    return done
  }

  async #apply(settings: Settings, placed?: ReadonlySet<string>): Promise<PeerChanges> {
    try {
      return await this.#options.peers.apply(settings, placed)
    } finally {
      // The peers hold copies of their own.
      for (const { preshared_key_file } of settings.peers) preshared_key_file?.wipe()
    }
  }

  async #reload(then: () => void): Promise<ReloadReport> {
    const { reread, log } = this.#options
    if (reread === undefined)
      throw new UserError(
        'this tunnel was started without --config and without --wireguard, so there is no file to read again',
      )
    const settings = reread()
    // OpenSSL holds the key in use. Another key would need a restart.
    settings.private_key_file?.wipe()
    const changes = await this.#apply(settings)
    const ignored = Object.keys(settings).filter(
      (key) => key !== 'peers' && !isDeepStrictEqual(pick(settings, key), pick(this.#options.settings, key)),
    )
    then()
    const text = Object.entries(changes).map(([what, names]) => `${names.length} ${what}`)
    log.info({ ...changes, ignored }, `reloaded the peers: ${text.join(', ')}`)
    if (ignored.length > 0)
      log.warn(`${ignored.join(', ')} changed in the file, too, and that needs a restart`)
    return { ...changes, needs_restart: ignored }
  }
}

const pick = (settings: Settings, key: string) => settings[key as keyof Settings]
