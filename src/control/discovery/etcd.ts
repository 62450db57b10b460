import { createHash } from 'node:crypto'
import type { Logger } from 'pino'
import * as z from 'zod'
import type { EtcdSettings } from '../../config/discovery.js'
import { bytesOfAddress } from '../../config/told-networks.js'
import type { LocalAddress } from '../../config/values.js'
import { addressBits } from '../../config/values.js'
import { type Newest, type Store, type StoreChange, StoreError } from '../../etcd/store.js'
import { pause } from '../clock.js'
import { deferred } from '../deferred.js'
import type { Faults } from '../faults.js'
import type { Platform } from '../platform.js'
import { Directory, MAX_ENTRIES } from './directory.js'
import { formatValue } from './member-value.js'
import type { OwnSaid, PeerSource, SourceEvents } from './source.js'

/** A lease is kept alive so often in its time. */
const TIMES_PER_LEASE = 3

/** In every so many of these turns, it is looked whether the watch has told everything. */
const TURNS_PER_LOOK = 3

/** The pause after a failure, at first and at the most. Each is drawn between half of it and all of it. */
const BACKOFF_MS = 250
const MAX_BACKOFF_MS = 5_000

/** Several changes of what this host says of itself are written together. */
const SETTLE_MS = 50

/** At the end, the lease is given back within this time, or expires later. */
const REVOKE_MS = 1_000

/** The least time between two writes of what is known. */
const KEEP_MS = 5_000

const keptSchema = z.object({
  version: z.literal(1),
  values: z.array(z.tuple([z.string(), z.string()])).max(MAX_ENTRIES),
})

export interface EtcdSourceOptions {
  readonly settings: EtcdSettings
  readonly local: readonly LocalAddress[]
  readonly store: Store
  /** This host's public key, in base64, which tells its file in the state directory from that of another tunnel. */
  readonly ownKey: string
  readonly platform: Pick<Platform, 'clock' | 'random' | 'state'>
  readonly log: Logger
  readonly faults: Faults
  readonly events: SourceEvents
}

/**
 * Finds others by etcd. This host's value is at the key PREFIX/NETWORK/NAME under a lease, which ends when the host does.
 * One loop does everything, one question after the other: it keeps the lease alive, writes the value, reads all of the
 * others and then watches. Whatever fails, the loop begins again, at the next endpoint.
 */
export class EtcdSource implements PeerSource {
  readonly #options: EtcdSourceOptions
  readonly #directory: Directory
  /** With a slash at the end. */
  readonly #prefix: string
  readonly #ownName: string
  readonly #stop = new AbortController()
  readonly #running: Promise<void>
  readonly #file: string
  #own: string | undefined
  /** What is written of this host under the present lease. */
  #written: string | undefined
  /** What was written last, or is about to be. */
  #writing: string | undefined
  #lease: string | undefined
  /** All up to here is known. */
  #revision = '0'
  #wake: (() => void) | undefined
  #isAwake = false
  #isInTouch = false
  #isAwaySaid = false
  #isClashSaid = false
  #isKept = true
  #keeping: Promise<unknown> | undefined
  #keepMs = Number.NEGATIVE_INFINITY

  constructor(options: EtcdSourceOptions) {
    const { settings, events, ownKey } = options
    this.#options = options
    this.#prefix = `${settings.prefix}/${settings.network}/`
    this.#ownName = settings.name
    this.#directory = new Directory({
      graceMs: settings.grace * 1_000,
      ownName: settings.name,
      told: (name, member) => {
        this.#isKept = false
        events.told(name, member)
      },
      refused: events.refused,
      isAlive: events.isAlive,
    })
    const store = createHash('sha256').update(ownKey).update(this.#prefix).digest('hex').slice(0, 16)
    this.#file = `etcd-${store}.json`
    this.#restore()
    this.#running = this.#run()
  }

  tell({ publicKey, claims, record }: OwnSaid): void {
    const { local } = this.#options
    const networks = local.map(({ address, family }) => ({
      address: bytesOfAddress(address),
      prefixLength: addressBits(family),
    }))
    const { endpoints, macs } = claims
    const own = formatValue({ name: this.#ownName, publicKey, networks, endpoints, macs, record })
    if (own === this.#own) return
    this.#own = own
    this.#rouse()
  }

  tick(nowMs: number): void {
    if (this.#isInTouch) this.#directory.expire(nowMs)
    if (this.#isKept || this.#keeping !== undefined || nowMs < this.#keepMs) return
    this.#keepMs = nowMs + KEEP_MS
    this.#keep()
  }

  async close(): Promise<void> {
    const { store, platform } = this.#options
    const lease = this.#isInTouch ? this.#lease : undefined
    this.#stop.abort()
    this.#wake?.()
    if (lease !== undefined) {
      const revoked = store.revoke(lease).catch(() => {})
      const end = new AbortController()
      await Promise.race([revoked, pause(platform.clock, REVOKE_MS, end.signal).catch(() => {})])
      end.abort()
    }
    store.close()
    await this.#running
    await this.#keeping
    if (!this.#isKept) await this.#keep()
  }

  /** Takes whom an earlier run has known last. They stay until etcd has said otherwise, and the grace time has passed. */
  #restore(): void {
    const { platform, log } = this.#options
    const text = platform.state.read(this.#file)
    if (text === undefined) return
    try {
      for (const [name, value] of keptSchema.parse(JSON.parse(text)).values) this.#directory.put(name, value)
    } catch {
      log.warn(
        `${platform.state.path}/${this.#file} is damaged, so the members that were known last are forgotten`,
      )
    }
    this.#isKept = true
  }

  #keep(): Promise<unknown> {
    const { platform, faults } = this.#options
    this.#isKept = true
    const text = `${JSON.stringify({ version: 1, values: this.#directory.values })}\n`
    this.#keeping = platform.state
      .replace(this.#file, text)
      .catch((error) => faults.take('introductions', error))
      .finally(() => {
        this.#keeping = undefined
      })
    return this.#keeping
  }

  /** The loop looks at once whether there is something to do. */
  #rouse(): void {
    this.#isAwake = true
    this.#wake?.()
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
        else faults.take('introductions', error)
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
    this.#isAwake = false
    const own = this.#own
    if (own === undefined || own === this.#written || this.#lease === undefined) return
    this.#writing = own
    await store.put(`${this.#prefix}${this.#ownName}`, own, this.#lease)
    this.#written = own
  }

  /** Reads all members anew. */
  async #read(): Promise<void> {
    const { store, platform } = this.#options
    const { entries, revision } = await store.read(this.#prefix)
    const values = new Map(entries.map(({ key, value }) => [key.slice(this.#prefix.length), value]))
    this.#lookAtOwn(values.get(this.#ownName))
    values.delete(this.#ownName)
    this.#directory.replace(values, platform.clock.nowMs())
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
      this.#rouse()
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
        const isAwake = await this.#pause((settings.ttl * 1_000) / TIMES_PER_LEASE)
        if (outcome?.error !== undefined) throw outcome.error
        if (outcome !== undefined) return
        if (isAwake) await pause(platform.clock, SETTLE_MS, this.#stop.signal)
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
    return BigInt(revision) > BigInt(this.#revision) || count !== this.#directory.keys + own
  }

  /** Waits for some time, or until there is something to do. @returns whether there is */
  async #pause(ms: number): Promise<boolean> {
    if (this.#isAwake) return true
    const { promise, resolve } = deferred<boolean>()
    this.#wake = () => resolve(true)
    const timer = this.#options.platform.clock.after(ms, () => resolve(false))
    try {
      return await promise
    } finally {
      this.#wake = undefined
      timer.cancel()
    }
  }

  #hear(changes: readonly StoreChange[], revision: string): void {
    const { faults, platform } = this.#options
    this.#revision = revision
    faults.run('introductions', () => {
      for (const { key, value } of changes) {
        const name = key.slice(this.#prefix.length)
        if (name === this.#ownName) this.#lookAtOwn(value)
        else if (value === undefined) this.#directory.gone(name, platform.clock.nowMs())
        else this.#directory.put(name, value)
      }
    })
  }

  /** This host's own key may have been removed, or written by another host. */
  #lookAtOwn(value: string | undefined): void {
    if (value === this.#written || this.#written === undefined) return
    if (value === undefined) {
      this.#written = undefined
      this.#rouse()
    } else if (value !== this.#writing && !this.#isClashSaid) {
      this.#isClashSaid = true
      this.#options.log.warn(
        `another host writes to the key ${this.#prefix}${this.#ownName} of this one in etcd; give each host a name of its own, and a role that can write only its own key`,
      )
    }
  }

  #inTouch(): void {
    const { log, store } = this.#options
    if (!this.#isInTouch)
      log.info(`etcd is in touch at ${store.endpoint}: ${this.#directory.present} other members`)
    this.#isInTouch = true
    this.#isAwaySaid = false
  }

  #away(why: string): void {
    this.#isInTouch = false
    if (this.#isAwaySaid) return
    this.#isAwaySaid = true
    this.#options.log.warn(`etcd is away: ${why}; who is known stays a peer, and the next endpoint is tried`)
  }
}
