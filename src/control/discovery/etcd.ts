import { createHash } from 'node:crypto'
import type { Logger } from 'pino'
import type { LocalAddress } from '../../config/addresses.js'
import type { EtcdSettings } from '../../config/discovery.js'
import { type Newest, type Store, type StoreChange, StoreError } from '../../etcd/store.js'
import { pause } from '../clock.js'
import type { Faults } from '../faults.js'
import type { Platform } from '../platform.js'
import { Alarm } from './alarm.js'
import { Directory, MAX_ENTRIES } from './directory.js'
import { KeptMembers } from './kept-members.js'
import { OwnValue } from './own-value.js'
import type { OwnSaid, PeerSource, SourceStatus, StoreEvents } from './source.js'

/** A lease is kept alive so often in its time. */
const TIMES_PER_LEASE = 3

/** In every so many of these turns, it is looked whether the watch has told everything. */
const TURNS_PER_LOOK = 3

/** The pause after a failure, at first and at the most. Each is drawn between half of it and all of it. */
const BACKOFF_MS = 250
const MAX_BACKOFF_MS = 5_000

/** Several changes of what this host says of itself are written together. */
const SETTLE_MS = 50

/** So many keys are read, some more than there is room for: whoever can write to the store could write any number. */
const MAX_READ = MAX_ENTRIES + 100

/** At the end, the lease is given back within this time, or expires later. */
const REVOKE_MS = 1_000

export interface EtcdSourceOptions {
  readonly settings: EtcdSettings
  readonly local: readonly LocalAddress[]
  readonly store: Store
  /** This host's public key, in base64, which tells its file in the state directory from that of another tunnel. */
  readonly ownKey: string
  readonly platform: Pick<Platform, 'clock' | 'random' | 'state'>
  readonly log: Logger
  readonly faults: Faults
  readonly events: StoreEvents
}

/**
 * Finds others by etcd. This host's value is at the key PREFIX/NETWORK/NAME under a lease, which ends when the host does.
 * One loop does everything, one question after the other: it keeps the lease alive, writes the value, reads all of the
 * others and then watches. Whatever fails, the loop begins again, at the next endpoint.
 */
export class EtcdSource implements PeerSource {
  readonly #options: EtcdSourceOptions
  readonly #directory: Directory
  readonly #kept: KeptMembers
  readonly #own: OwnValue
  #said: OwnSaid | undefined
  /** With a slash at the end. */
  readonly #prefix: string
  readonly #ownName: string
  readonly #stop = new AbortController()
  /** Rings when there is something to do. */
  readonly #alarm: Alarm
  readonly #running: Promise<void>
  /** What is written of this host under the present lease. */
  #written: string | undefined
  /** What was written last, or is about to be. */
  #writing: string | undefined
  #lease: string | undefined
  /** All up to here is known. */
  #revision = '0'
  #state: SourceStatus['state'] = 'starting'
  #sinceMs: number
  #trouble: string | null = null
  #isClashSaid = false

  constructor(options: EtcdSourceOptions) {
    const { settings, events, ownKey, platform } = options
    this.#options = options
    this.#prefix = `${settings.prefix}/${settings.network}/`
    this.#ownName = settings.name
    this.#alarm = new Alarm(platform.clock)
    this.#sinceMs = platform.clock.nowMs()
    this.#directory = new Directory({
      ...events,
      graceMs: settings.grace * 1_000,
      ownName: settings.name,
      told: (name, member) => {
        this.#kept.change()
        events.told(name, member)
      },
    })
    const place = createHash('sha256').update(ownKey).update(this.#prefix).digest('hex').slice(0, 16)
    this.#kept = new KeptMembers(this.#directory, { ...options, file: `etcd-${place}.json` })
    this.#own = new OwnValue({ ...options, name: settings.name, file: `etcd-${place}.serial` })
    // They stay until etcd has said otherwise, and the grace time has passed.
    this.#kept.restore()
    this.#running = this.#run()
  }

  tick(own: OwnSaid | undefined, nowMs: number): void {
    if (own !== undefined && own !== this.#said && own.claims.endpoints.length > 0) {
      this.#said = own
      if (this.#own.tell(own)) this.#alarm.ring()
    }
    this.#directory.judgePending(nowMs)
    if (this.#isInTouch) this.#directory.expire(nowMs)
    this.#kept.tick()
  }

  status(nowMs: number): SourceStatus {
    const { endpoint, requests } = this.#options.store
    const { known, present, refused } = this.#directory
    return {
      source: 'etcd',
      state: this.#state,
      since_s: (nowMs - this.#sinceMs) / 1_000,
      trouble: this.#trouble,
      endpoint,
      revision: this.#revision === '0' ? null : this.#revision,
      requests,
      members: { known, present },
      refused: { ...refused },
    }
  }

  judgeAnew(nowMs: number): void {
    this.#directory.judgeAnew(nowMs)
  }

  async close(): Promise<void> {
    const { store, platform } = this.#options
    const lease = this.#isInTouch ? this.#lease : undefined
    this.#stop.abort()
    this.#alarm.ring()
    if (lease !== undefined) {
      const revoked = store.revoke(lease).catch(() => {})
      const end = new AbortController()
      await Promise.race([revoked, pause(platform.clock, REVOKE_MS, end.signal).catch(() => {})])
      end.abort()
    }
    store.close()
    await this.#running
    await this.#kept.close()
  }

  async #run(): Promise<void> {
    const { platform, store, faults } = this.#options
    const { signal } = this.#stop
    let backoffMs = BACKOFF_MS
    while (!signal.aborted) {
      try {
        await this.#renew()
        await this.#read()
        this.#inTouch()
        backoffMs = BACKOFF_MS
        await this.#stay()
      } catch (error) {
        if (signal.aborted) return
        if (error instanceof StoreError) this.#away(error.message)
        else {
          faults.take('introductions', error)
          this.#become('away', 'an error of this program itself')
        }
        store.next()
        const share = 0.5 + platform.random(1)[0] / 512
        await pause(platform.clock, backoffMs * share, signal).catch(() => {})
        backoffMs = Math.min(2 * backoffMs, MAX_BACKOFF_MS)
      }
    }
  }

  /** Keeps the lease alive or gets another one, and writes what this host says of itself. */
  async #renew(): Promise<void> {
    const { store, settings } = this.#options
    const isThere = this.#lease !== undefined && (await store.keepAlive(this.#lease))
    if (!isThere) {
      this.#written = undefined
      this.#lease = undefined
      this.#lease = await store.grant(settings.ttl)
    }
    this.#alarm.reset()
    const own = await this.#own.text()
    if (own === undefined || own === this.#written || this.#lease === undefined) return
    this.#writing = own
    await store.put(`${this.#prefix}${this.#ownName}`, own, this.#lease)
    this.#written = own
  }

  /** Reads all members anew. */
  async #read(): Promise<void> {
    const { store, platform } = this.#options
    const { entries, revision, isWhole } = await store.read(this.#prefix, MAX_READ)
    const values = new Map(entries.map(({ key, value }) => [key.slice(this.#prefix.length), value]))
    if (isWhole || values.has(this.#ownName)) this.#lookAtOwn(values.get(this.#ownName))
    values.delete(this.#ownName)
    const nowMs = platform.clock.nowMs()
    const awayMs = this.#isInTouch ? 0 : nowMs - this.#sinceMs
    this.#directory.replace(values, { nowMs, awayMs, isWhole })
    this.#revision = revision
  }

  /** Watches, and keeps the lease alive. Returns when a fresh read is needed. */
  async #stay(): Promise<void> {
    const { store, settings, platform } = this.#options
    this.#stop.signal.throwIfAborted()
    const watch = new AbortController()
    const end = () => watch.abort()
    this.#stop.signal.addEventListener('abort', end, { once: true })
    const from = String(BigInt(this.#revision) + 1n)
    let outcome: { readonly error?: unknown } | undefined
    const over = (it: { readonly error?: unknown }) => {
      if (watch.signal.aborted) return
      outcome = it
      this.#alarm.ring()
    }
    const hear = (changes: readonly StoreChange[], revision: string) => {
      if (!watch.signal.aborted) this.#hear(changes, revision)
    }
    store.watch(this.#prefix, from, hear, watch.signal).then(
      () => over({}),
      (error) => over({ error }),
    )
    let wasBehind = false
    try {
      for (let turn = 1; ; turn++) {
        const hasRung = await this.#alarm.wait((settings.ttl * 1_000) / TIMES_PER_LEASE)
        if (outcome?.error !== undefined) throw outcome.error
        if (outcome !== undefined) return
        if (hasRung) await pause(platform.clock, SETTLE_MS, this.#stop.signal)
        await this.#renew()
        if (turn % TURNS_PER_LOOK !== 0) continue
        const isBehind = this.#isBehind(await store.newest(this.#prefix))
        // What is missing may be on its way. At the second look it is lost.
        if (isBehind && wasBehind) return
        wasBehind = isBehind
      }
    } finally {
      this.#stop.signal.removeEventListener('abort', end)
      watch.abort()
    }
  }

  /** Whether the store has keys or changes that the watch has not told of. */
  #isBehind({ count, revision }: Newest): boolean {
    const own = this.#written === undefined ? 0 : 1
    if (BigInt(revision) > BigInt(this.#revision)) return true
    // Keys that there is no room for are not counted.
    return !this.#directory.isFull && count !== this.#directory.keys + own
  }

  #hear(changes: readonly StoreChange[], revision: string): void {
    const { faults, platform } = this.#options
    this.#revision = revision
    faults.run('introductions', () => {
      for (const { key, value } of changes) {
        const name = key.slice(this.#prefix.length)
        if (name === this.#ownName) this.#lookAtOwn(value)
        else if (value === undefined) this.#directory.gone(name, platform.clock.nowMs())
        else this.#directory.put(name, value, platform.clock.nowMs())
      }
    })
  }

  /** This host's own key may have been removed, or written by another host. */
  #lookAtOwn(value: string | undefined): void {
    if (value === this.#written || this.#written === undefined) return
    if (value === undefined) {
      this.#written = undefined
      this.#alarm.ring()
      return
    }
    if (value === this.#writing) return
    if (this.#own.isSigned) {
      // The others do not believe the other one. At the next turn, so that two do not fight without a pause.
      this.#own.overtake(value)
      this.#written = undefined
    }
    if (this.#isClashSaid) return
    this.#isClashSaid = true
    this.#options.log.warn(
      `another host writes to the key ${this.#prefix}${this.#ownName} of this one in etcd; give each host a name of its own, and a role that can write only its own key`,
    )
  }

  get #isInTouch(): boolean {
    return this.#state === 'connected'
  }

  #inTouch(): void {
    const { log, store } = this.#options
    if (!this.#isInTouch)
      log.info(`etcd is in touch at ${store.endpoint}: ${this.#directory.present} other members`)
    this.#become('connected', null)
  }

  #away(why: string): void {
    if (this.#state !== 'away')
      this.#options.log.warn(
        `etcd is away: ${why}; who is known stays a peer, and the next endpoint is tried`,
      )
    this.#become('away', why)
  }

  #become(state: SourceStatus['state'], trouble: string | null): void {
    if (state !== this.#state) this.#sinceMs = this.#options.platform.clock.nowMs()
    this.#state = state
    this.#trouble = trouble
  }
}
