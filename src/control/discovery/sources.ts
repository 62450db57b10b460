import type { Logger } from 'pino'
import { etcdSettings } from '../../config/discovery.js'
import type { Settings } from '../../config/schema.js'
import { publicKeyText } from '../../key-text.js'
import type { Claims } from '../../wire/introduction.js'
import type { Faults } from '../faults.js'
import type { Peer } from '../peer/peer.js'
import type { Roster } from '../peer/roster.js'
import type { Platform } from '../platform.js'
import type { PrivateSide } from '../private/private-side.js'
import { Introducers, type IntroducersContext } from './introducers.js'
import type { OwnSaid, PeerSource, SourceStatus, Tell } from './source.js'
import { SourceSignatures } from './source-signatures.js'
import type { AllTold } from './told.js'
import { ToldMembers } from './told-members.js'

/** Who tells, in sentences and in `introduced_by`. It has spaces, so that no peer is called like it. */
const STORE = 'the etcd store'

export interface SourcesContext extends IntroducersContext {
  readonly settings: Settings
  readonly platform: Pick<Platform, 'clock' | 'random' | 'state' | 'store'>
  readonly roster: Roster<Peer>
  readonly privateSide: PrivateSide
  readonly log: Logger
  readonly faults: Faults
}

export interface SourcesOptions {
  /** The member with this public key, in base64, is told otherwise now. */
  readonly changed: (key: string) => void
  readonly refused: (why: string) => void
}

/** All peer sources, and what they tell: the introducers, and the one that the settings name. */
export class Sources {
  readonly introducers: Introducers
  readonly #context: SourcesContext
  readonly #options: SourcesOptions
  readonly #told = new ToldMembers()
  readonly #signatures: SourceSignatures
  readonly #all: PeerSource[]
  /** The code of the source that the settings name is loaded only if they name one. */
  readonly #loading: Promise<void> | undefined
  #own: OwnSaid | undefined
  #isClosed = false

  constructor(context: SourcesContext, options: SourcesOptions) {
    this.#context = context
    this.#options = options
    this.#signatures = new SourceSignatures(() => context.platform.clock.nowMs())
    this.#signatures.follow(context.settings.network_key)
    this.introducers = new Introducers(context, this.#tell)
    this.#all = [this.introducers]
    if (context.settings.discovery !== undefined && context.platform.store !== undefined)
      this.#loading = this.#load().catch((error) => context.faults.take('introductions', error))
  }

  /** Whether there may be one, so that this host must know what to say of itself. */
  get any(): boolean {
    return this.introducers.any || this.#loading !== undefined
  }

  /** Null if the settings name none, or if it is being loaded. */
  status(nowMs: number): SourceStatus | null {
    for (const source of this.#all) {
      const status = source.status(nowMs)
      if (status !== null) return status
    }
    return null
  }

  get told(): AllTold {
    return this.#told
  }

  /** Must be called often, with what this host says of itself, and what its settings say now. */
  tick(claims: Claims, settings: Pick<Settings, 'record' | 'network_key'>, nowMs: number): void {
    const hasOtherKey = this.#signatures.follow(settings.network_key)
    const own = this.#ownSaid(claims, settings)
    for (const source of this.#all) {
      if (hasOtherKey) source.judgeAnew?.(nowMs)
      source.tick(own, nowMs)
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#loading
    await Promise.all(this.#all.map((source) => source.close()))
  }

  /** The same object until this host says something else. Undefined: it has no key of its own. */
  #ownSaid(claims: Claims, { record }: Pick<Settings, 'record'>): OwnSaid | undefined {
    const { identity } = this.#context.privateSide.ownKey
    if (identity === undefined) return undefined
    const { publicKey, signingKey } = identity
    const own = this.#own
    if (own?.claims === claims && own.record === record && publicKey.equals(own.publicKey)) return own
    const isCertified =
      record?.signingKey !== undefined && Buffer.compare(record.signingKey, signingKey.publicKey) === 0
    this.#own = { publicKey, claims, record, signingKey: isCertified ? signingKey : undefined }
    return this.#own
  }

  readonly #tell: Tell = (by, id, member) => {
    for (const key of this.#told.tell(by, id, member)) this.#options.changed(key)
  }

  async #load(): Promise<void> {
    const { settings, platform, roster, privateSide } = this.#context
    const { discovery, record, local } = settings
    const { store } = platform
    const { EtcdSource } = await import('./etcd.js')
    if (this.#isClosed || discovery === undefined || store === undefined) return
    const source = new EtcdSource({
      ...this.#context,
      settings: etcdSettings(discovery, record?.name),
      local,
      store,
      ownKey: privateSide.summary().public_key ?? '',
      events: {
        told: (name, member) => this.#tell(STORE, name, member),
        refused: this.#options.refused,
        signatures: () => (this.#signatures.any ? this.#signatures : undefined),
        alive: () =>
          new Set(
            roster.all.flatMap(({ settings: { public_key: key }, carries }) =>
              carries && key !== undefined ? publicKeyText(key) : [],
            ),
          ),
      },
    })
    this.#all.push(source)
  }
}
