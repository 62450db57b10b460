import { Lines } from './lines.js'
import { type Json, MAX_BYTES, Rpc, type RpcOptions } from './rpc.js'
import {
  endOfPrefix,
  type Newest,
  type Snapshot,
  type Store,
  type StoreChange,
  type StoreEntry,
  StoreError,
} from './store.js'

/** So many keys are read at once. */
const PAGE_KEYS = 500

interface Raw {
  readonly key?: string
  readonly value?: string
  readonly mod_revision?: string
}

/**
 * etcd by its JSON gateway (rpc.ts): 64-bit numbers are decimal text, and bytes are base64. What streams there is one JSON
 * value a line here.
 */
export class Gateway implements Store {
  readonly #rpc: Rpc

  /** @throws if a file cannot be read */
  constructor(options: RpcOptions) {
    this.#rpc = new Rpc(options)
  }

  get endpoint(): string {
    return this.#rpc.endpoint
  }

  get requests(): number {
    return this.#rpc.requests
  }

  next(): void {
    this.#rpc.next()
  }

  close(): void {
    this.#rpc.close()
  }

  async grant(ttlS: number): Promise<string> {
    const { ID } = await this.#rpc.call('lease/grant', { TTL: String(ttlS) })
    if (typeof ID !== 'string') throw this.#rpc.odd('lease/grant')
    return ID
  }

  async keepAlive(lease: string): Promise<boolean> {
    const { result } = await this.#rpc.call('lease/keepalive', { ID: lease })
    return Number((result as Json | undefined)?.TTL ?? 0) > 0
  }

  async revoke(lease: string): Promise<void> {
    await this.#rpc.call('lease/revoke', { ID: lease })
  }

  async put(key: string, value: string, lease: string): Promise<void> {
    await this.#rpc.call('kv/put', { key: base64(key), value: base64(value), lease })
  }

  async read(prefix: string, atMost: number): Promise<Snapshot> {
    const entries: StoreEntry[] = []
    const range_end = base64(endOfPrefix(prefix))
    let revision: string | undefined
    let bytes = 0
    // Keys are compared as bytes, because those that are no UTF-8 change when they are made text.
    for (let from = Buffer.from(prefix); ; ) {
      const answer = await this.#rpc.call('kv/range', {
        key: from.toString('base64'),
        range_end,
        limit: String(Math.min(PAGE_KEYS, atMost - entries.length)),
        ...(revision === undefined ? {} : { revision }),
      })
      revision ??= revisionOf(answer)
      if (revision === undefined) throw this.#rpc.odd('kv/range')
      const kvs = ((answer.kvs ?? []) as readonly Raw[]).map(({ key, value }) => [
        bytesOf(key),
        bytesOf(value),
      ])
      for (const [key, value] of kvs) {
        entries.push({ key: key.toString(), value: value.toString() })
        bytes += key.length + value.length
      }
      if (bytes > MAX_BYTES)
        throw new StoreError(
          `${this.endpoint} has more than ${MAX_BYTES / 1024 ** 2} MiB below ${prefix}, and members have less`,
        )
      if (answer.more !== true) return { entries, revision, isWhole: true }
      const last = kvs.at(-1)?.[0]
      if (last === undefined || Buffer.compare(last, from) < 0) throw this.#rpc.odd('kv/range')
      if (entries.length >= atMost) return { entries, revision, isWhole: false }
      from = Buffer.concat([last, Buffer.of(0)])
    }
  }

  async newest(prefix: string): Promise<Newest> {
    const answer = await this.#rpc.call('kv/range', {
      key: base64(prefix),
      range_end: base64(endOfPrefix(prefix)),
      limit: '1',
      keys_only: true,
      sort_order: 'DESCEND',
      sort_target: 'MOD',
    })
    const [first] = (answer.kvs ?? []) as readonly Raw[]
    return { count: Number(answer.count ?? 0), revision: first?.mod_revision ?? '0' }
  }

  async watch(
    prefix: string,
    fromRevision: string,
    onChanges: (changes: readonly StoreChange[], revision: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const create_request = {
      key: base64(prefix),
      range_end: base64(endOfPrefix(prefix)),
      start_revision: fromRevision,
    }
    const answer = await this.#rpc.stream('watch', { create_request }, signal)
    const lines = new Lines(MAX_BYTES)
    try {
      for await (const chunk of answer)
        for (const line of lines.take(chunk as Buffer)) {
          const { result, error } = this.#rpc.parse(line, 'watch')
          if (error !== undefined) throw this.#rpc.refusal('watch', { error })
          const { canceled, compact_revision, cancel_reason, events } = (result ?? {}) as Json
          if (canceled === true) {
            if (Number(compact_revision ?? 0) > 0) return
            throw new StoreError(
              `${this.endpoint} has ended the watch (${cancel_reason ?? 'without a reason'})`,
            )
          }
          const revision = revisionOf((result ?? {}) as Json)
          if (!Array.isArray(events) || events.length === 0 || revision === undefined) continue
          onChanges(
            (events as { type?: string; kv?: Raw }[]).map(({ type, kv }) => ({
              key: text(kv?.key),
              value: type === 'DELETE' ? undefined : text(kv?.value),
            })),
            revision,
          )
        }
    } catch (error) {
      if (error instanceof StoreError) throw error
      throw new StoreError(`${this.endpoint} has broken the watch off (${(error as Error).message})`)
    } finally {
      answer.destroy()
    }
    throw new StoreError(`${this.endpoint} has ended the watch`)
  }
}

const base64 = (it: string) => Buffer.from(it, 'utf8').toString('base64')

const bytesOf = (it: string | undefined) => Buffer.from(it ?? '', 'base64')

const text = (it: string | undefined) => bytesOf(it).toString('utf8')

function revisionOf({ header }: Json): string | undefined {
  const { revision } = (header ?? {}) as Json
  return typeof revision === 'string' ? revision : undefined
}
