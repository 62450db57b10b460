import type { Logger } from 'pino'
import { etcdSettings } from '../../config/discovery.js'
import type { Settings } from '../../config/schema.js'
import { formatKey } from '../../key-text.js'
import type { Claims } from '../../wire/introduction.js'
import type { OwnSaid, PeerSource, SourceStatus } from '../discovery/source.js'
import type { Faults } from '../faults.js'
import type { Peer } from '../peer/peer.js'
import type { Roster } from '../peer/roster.js'
import type { Platform } from '../platform.js'
import type { PrivateSide } from '../private/private-side.js'
import { SourceSignatures } from './source-signatures.js'
import { SourceTold } from './source-told.js'
import type { Told } from './told.js'

/** Who tells, in sentences and in `introduced_by`. It has spaces, so that no peer is called like it. */
const STORE = 'the etcd store'

export interface SourcesContext {
  readonly settings: Settings
  readonly platform: Pick<Platform, 'clock' | 'random' | 'state' | 'store'>
  readonly roster: Roster<Peer>
  readonly privateSide: PrivateSide
  readonly log: Logger
  readonly faults: Faults
}

export interface SourcesOptions {
  /** These public keys, in base64, are told otherwise now. */
  readonly changed: (keys: readonly string[]) => void
  readonly refused: (why: string) => void
}

/** The peer source that the settings name, beside introducers. Its code is loaded only then. */
export class Sources {
  readonly #context: SourcesContext
  readonly #options: SourcesOptions
  readonly #told = new SourceTold(STORE)
  readonly #signatures: SourceSignatures
  readonly #loading: Promise<void> | undefined
  #source: PeerSource | undefined
  #said: OwnSaid | undefined
  #isClosed = false

  constructor(context: SourcesContext, options: SourcesOptions) {
    this.#context = context
    this.#options = options
    this.#signatures = new SourceSignatures(() => context.platform.clock.nowMs())
    this.#signatures.follow(context.settings.network_key)
    if (context.settings.discovery !== undefined && context.platform.store !== undefined)
      this.#loading = this.#load().catch((error) => context.faults.take('introductions', error))
  }

  /** Whether there is one. */
  get any(): boolean {
    return this.#loading !== undefined
  }

  /** Null if there is none, or if it is being loaded. */
  status(nowMs: number): SourceStatus | null {
    return this.#source?.status(nowMs) ?? null
  }

  get told(): Iterable<Told> {
    return this.#told.all
  }

  /** What is told of those that have this public key, in base64. */
  toldOf(key: string): Told[] {
    return this.#told.of(key)
  }

  async #load(): Promise<void> {
    const { settings, platform, roster, privateSide } = this.#context
    const { discovery, record, local } = settings
    const { store } = platform
    const { EtcdSource } = await import('../discovery/etcd.js')
    if (this.#isClosed || discovery === undefined || store === undefined) return
    this.#source = new EtcdSource({
      ...this.#context,
      settings: etcdSettings(discovery, record?.name),
      local,
      store,
      ownKey: privateSide.summary().public_key ?? '',
      events: {
        told: (id, member) => this.#options.changed(this.#told.tell(id, member)),
        refused: this.#options.refused,
        signatures: () => (this.#signatures.any ? this.#signatures : undefined),
        isAlive: (publicKey) => {
          const key = formatKey(publicKey)
          return roster.all.some(
            ({ settings: { public_key: its }, carries }) =>
              carries && its !== undefined && formatKey(its) === key,
          )
        },
      },
    })
  }

  /** Must be called often, with what this host says of itself, and what its settings say now. */
  tick(
    claims: Claims,
    { record, network_key }: Pick<Settings, 'record' | 'network_key'>,
    nowMs: number,
  ): void {
    const isOther = this.#signatures.follow(network_key)
    const source = this.#source
    if (source === undefined) return
    if (isOther) source.judgeAnew(nowMs)
    source.tick(nowMs)
    const own = this.#context.privateSide.ownKey.identity
    if (own === undefined || claims.endpoints.length === 0) return
    const said = this.#said
    if (said?.claims === claims && said.record === record && own.publicKey.equals(said.publicKey)) return
    const { publicKey, signingKey } = own
    const isCertified =
      record?.signingKey !== undefined && Buffer.compare(record.signingKey, signingKey.publicKey) === 0
    this.#said = { publicKey, claims, record, signingKey: isCertified ? signingKey : undefined }
    source.tell(this.#said)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#loading
    await this.#source?.close()
  }
}
