import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import type { PeerSettings, Settings } from '../config/schema.js'
import { UserError } from '../errors.js'
import { wipeUnusedIdentities } from '../noise/keys.js'
import type { PeerChanges, Peers } from './peer/peers.js'
import type { NewIdentity } from './private/own-key.js'
import type { PrivateSide } from './private/private-side.js'

/** The names of the peers, and the keys of the settings that changed without effect. */
export interface ReloadReport extends PeerChanges {
  /** Whether this host has another private key now. */
  readonly private_key: boolean
  readonly needs_restart: readonly string[]
}

/** Beside the private key, these can change while the tunnel runs. */
const FOLLOWED: ReadonlySet<string> = new Set(['peers', 'network_key', 'record', 'allow'])

export interface ReloaderOptions {
  /** The settings that the tunnel was started with. */
  readonly settings: Settings
  /** Returns the present settings; undefined if they come from no file. @throws UserError if they are wrong */
  readonly reread: (() => Settings) | undefined
  readonly peers: Peers
  /** Undefined if the tunnel is not private. */
  readonly privateSide: PrivateSide | undefined
  readonly log: Logger
  /** The peers beside those of the settings: whom this host has invited, and whom others have introduced. */
  readonly membersBeside: (settings: Settings) => readonly PeerSettings[]
}

/** What somebody wants instead of what runs. Their keys are checked. */
export interface Wanted {
  readonly peers: readonly PeerSettings[]
  /** As in {@link Peers.apply}. */
  readonly placed: ReadonlySet<string>
  /** The private key that this host has then; undefined if it stays. */
  readonly identity: NewIdentity | undefined
}

/** The only way to other peers: reads the settings again, or takes what wg(8) sets, or what others introduce. */
export class Reloader {
  readonly #options: ReloaderOptions
  /** What a person wants: the settings of the file, or what wg(8) has made of them. */
  #settings: Settings
  #trouble: string | undefined
  /** The changes that are running or waiting. */
  #changes: Promise<unknown> = Promise.resolve()

  constructor(options: ReloaderOptions) {
    this.#options = options
    this.#settings = options.settings
  }

  /** What a person wants, without those who were invited or introduced. */
  get settings(): Settings {
    return this.#settings
  }

  /** Why the last reload has changed nothing; undefined if it has, or if there was none. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /**
   * Changes run one after the other.
   * @param then called when the peers have changed; the reload is done when it is
   * @returns what was changed
   * @throws UserError if the file is wrong, or if there is none (nothing has changed then), or when the tunnel
   *   stops
   */
  reload(then: () => Promise<void>): Promise<ReloadReport> {
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
      const settings = this.#settings
      const now = wanted(settings.peers)
      if (typeof now === 'number') return now
      if (now.identity !== undefined) await this.#options.privateSide?.changeKey(now.identity)
      const changes = await this.#apply({ ...settings, peers: now.peers }, now.placed, true)
      then()
      return changes
    })
  }

  /** The peers that were invited or introduced may be others now. @throws UserError when the tunnel stops */
  followMembers(): Promise<PeerChanges> {
    return this.#inTurn(() => this.#apply(this.#settings, undefined, true))
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#changes.then(work)
    this.#changes = done.catch(() => {})
    return done
  }

  async #apply(settings: Settings, placed?: ReadonlySet<string>, areChecked?: boolean): Promise<PeerChanges> {
    const { peers, membersBeside } = this.#options
    const all = [...settings.peers, ...membersBeside(settings)]
    try {
      const changes = await peers.apply({ ...settings, peers: all }, placed, areChecked)
      this.#settings = settings
      return changes
    } finally {
      // The peers hold copies of their own.
      for (const { preshared_key_file } of all) preshared_key_file?.wipe()
    }
  }

  async #reload(then: () => Promise<void>): Promise<ReloadReport> {
    const { reread, log } = this.#options
    if (reread === undefined)
      throw new UserError(
        'this tunnel was started without --config and without --wireguard, so there is no file to read again',
      )
    try {
      const settings = reread()
      const private_key = await this.#changeKey(settings)
      const changes = await this.#apply(settings)
      const ignored = this.#ignored(settings)
      await then()
      const text = Object.entries(changes).map(([what, names]) => `${names.length} ${what}`)
      log.info({ ...changes, ignored }, `reloaded the peers: ${text.join(', ')}`)
      if (ignored.length > 0)
        log.warn(`${ignored.join(', ')} changed in the file, too, and that needs a restart`)
      return { ...changes, private_key, needs_restart: ignored }
    } finally {
      wipeUnusedIdentities()
    }
  }

  /** @returns whether the key is another one @throws UserError if a peer cannot be there with that key */
  async #changeKey({ private_key_file: key, peers }: Settings): Promise<boolean> {
    const { privateSide } = this.#options
    try {
      const identity = key && privateSide?.ownKey.identityWith(key)
      if (identity === undefined) return false
      for (const peer of peers) privateSide?.check(peer, identity.own)
      await privateSide?.changeKey(identity)
      return true
    } finally {
      key?.wipe()
    }
  }

  /** The settings that are others than at the start, but cannot change while the tunnel runs. */
  #ignored(settings: Settings): string[] {
    const { settings: first } = this.#options
    return Object.keys(settings).filter((key) => {
      if (FOLLOWED.has(key)) return false
      const [now, before] = [pick(settings, key), pick(first, key)]
      // A tunnel does not become private, or stop to be.
      if (key === 'private_key_file') return (now === undefined) !== (before === undefined)
      return !isDeepStrictEqual(now, before)
    })
  }
}

const pick = (settings: Settings, key: string) => settings[key as keyof Settings]
