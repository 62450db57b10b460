import { readFileSync } from 'node:fs'
import {
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { Lines } from './lines.js'
import {
  endOfPrefix,
  type Newest,
  type Snapshot,
  type Store,
  type StoreChange,
  type StoreEntry,
  StoreError,
} from './store.js'

export interface GatewayOptions {
  /** URLs without a path. One is asked; another one if that fails. */
  readonly endpoints: readonly string[]
  /** Names of files, in PEM. */
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly user?: string | undefined
  /** The name of a file with the user's password. */
  readonly password_file?: string | undefined
  /** The endpoint that is asked first. */
  readonly first?: number
}

/** How long one answer is waited for. */
const CALL_MS = 5_000

/** The longest answer, and the longest line of a watch. */
const MAX_BYTES = 16 * 1024 * 1024

/** So many keys are read at once. */
const PAGE_KEYS = 500

/** So much of an answer that makes no sense is shown. */
const SHOWN_CHARACTERS = 120

/** A connection of which nothing is heard is probed after this time. */
const TCP_KEEPALIVE_MS = 10_000

type Json = Readonly<Record<string, unknown>>

interface Raw {
  readonly key?: string
  readonly value?: string
  readonly mod_revision?: string
}

/**
 * etcd by its JSON gateway (etcd 3.4 and later): each method of etcd's gRPC is a POST of a JSON value below `/v3`, 64-bit
 * numbers are decimal text, and bytes are base64. What streams there is one JSON value a line here.
 */
export class Gateway implements Store {
  readonly #options: GatewayOptions
  #at: number
  #requests = 0
  #agent: HttpAgent | undefined
  #password: string | undefined
  #token: string | undefined

  /** @throws Error of a file that cannot be read */
  constructor(options: GatewayOptions) {
    this.#options = options
    this.#at = (options.first ?? 0) % options.endpoints.length
    this.#open()
  }

  get endpoint(): string {
    return this.#options.endpoints[this.#at]
  }

  get requests(): number {
    return this.#requests
  }

  /** Reads the files anew, because certificates are renewed. */
  #open(): void {
    const { ca, cert, key, password_file } = this.#options
    const read = (path: string | undefined) => (path === undefined ? undefined : readFileSync(path))
    this.#password = read(password_file)?.toString('utf8').trim()
    const common = { keepAlive: true, keepAliveMsecs: TCP_KEEPALIVE_MS }
    this.#agent = this.endpoint.startsWith('https:')
      ? new HttpsAgent({ ...common, ca: read(ca), cert: read(cert), key: read(key) })
      : new HttpAgent(common)
  }

  next(): void {
    this.#agent?.destroy()
    this.#token = undefined
    this.#at = (this.#at + 1) % this.#options.endpoints.length
    try {
      this.#open()
    } catch {
      // They are being replaced: the next question fails, and the one after it reads them again.
      this.#agent = undefined
    }
  }

  close(): void {
    this.#agent?.destroy()
  }

  async grant(ttlS: number): Promise<string> {
    const { ID } = await this.#call('lease/grant', { TTL: String(ttlS) })
    if (typeof ID !== 'string') throw this.#odd('lease/grant')
    return ID
  }

  async keepAlive(lease: string): Promise<boolean> {
    const { result } = await this.#call('lease/keepalive', { ID: lease })
    return Number((result as Json | undefined)?.TTL ?? 0) > 0
  }

  async revoke(lease: string): Promise<void> {
    await this.#call('lease/revoke', { ID: lease })
  }

  async put(key: string, value: string, lease: string): Promise<void> {
    await this.#call('kv/put', { key: base64(key), value: base64(value), lease })
  }

  async read(prefix: string): Promise<Snapshot> {
    const entries: StoreEntry[] = []
    const range_end = base64(endOfPrefix(prefix))
    let revision: string | undefined
    for (let from: string | undefined = prefix; from !== undefined; ) {
      const answer = await this.#call('kv/range', {
        key: base64(from),
        range_end,
        limit: String(PAGE_KEYS),
        ...(revision === undefined ? {} : { revision }),
      })
      revision ??= revisionOf(answer)
      if (revision === undefined) throw this.#odd('kv/range')
      const kvs = (answer.kvs ?? []) as readonly Raw[]
      entries.push(...kvs.map(({ key, value }) => ({ key: text(key), value: text(value) })))
      const last = entries.at(-1)?.key
      from = answer.more === true && kvs.length > 0 && last !== undefined ? `${last}\0` : undefined
    }
    return { entries, revision: revision ?? '0' }
  }

  async newest(prefix: string): Promise<Newest> {
    const answer = await this.#call('kv/range', {
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
    const answer = await this.#post('watch', { create_request }, signal)
    const lines = new Lines(MAX_BYTES)
    try {
      for await (const chunk of answer)
        for (const line of lines.take(chunk as Buffer)) {
          const { result, error } = this.#parse(line, 'watch')
          if (error !== undefined) throw this.#refusal('watch', { error })
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

  async #call(method: string, content: Json): Promise<Json> {
    const answer = await this.#post(method, content, AbortSignal.timeout(CALL_MS))
    return this.#parse(await this.#whole(answer, method), method)
  }

  /** @returns the answer, whose status is right */
  async #post(method: string, content: Json, signal: AbortSignal): Promise<IncomingMessage> {
    const before = this.#token
    const { answer, error } = await this.#tryPost(method, content, signal)
    if (error === undefined) return answer
    this.#token = undefined
    // A token is good for some minutes only, and until users or roles change.
    if (before === undefined) throw this.#refusal(method, error)
    const again = await this.#tryPost(method, content, signal)
    if (again.error !== undefined) throw this.#refusal(method, again.error)
    return again.answer
  }

  async #tryPost(method: string, content: Json, signal: AbortSignal) {
    const { user } = this.#options
    if (user !== undefined && this.#token === undefined) {
      const asked = { name: user, password: this.#password ?? '' }
      const answer = await this.#send('auth/authenticate', asked, {}, AbortSignal.timeout(CALL_MS))
      const json = this.#parse(await this.#whole(answer, 'auth/authenticate'), 'auth/authenticate')
      if (answer.statusCode !== 200) throw this.#refusal('auth/authenticate', json)
      this.#token = String(json.token)
    }
    const headers = this.#token === undefined ? {} : { authorization: this.#token }
    const answer = await this.#send(method, content, headers, signal)
    if (answer.statusCode === 200) return { answer, error: undefined }
    const error = asJson(await this.#whole(answer, method))
    return { answer, error: { ...error, status: answer.statusCode } as Json }
  }

  #send(
    method: string,
    content: Json,
    headers: OutgoingHttpHeaders,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    this.#requests++
    const body = Buffer.from(JSON.stringify(content))
    const agent = this.#agent
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        const late = signal.aborted ? `it has not answered within ${CALL_MS / 1_000} s` : error.message
        reject(
          new StoreError(
            `${this.endpoint} cannot be reached (${late || (error as NodeJS.ErrnoException).code})`,
          ),
        )
      }
      if (agent === undefined) {
        fail(new Error('a file of its settings cannot be read'))
        return
      }
      const request = this.endpoint.startsWith('https:') ? httpsRequest : httpRequest
      const url = new URL(`/v3/${method}`, this.endpoint)
      request(
        url,
        {
          method: 'POST',
          agent,
          signal,
          headers: { ...headers, 'content-type': 'application/json', 'content-length': body.length },
        },
        resolve,
      )
        .on('error', fail)
        .end(body)
    })
  }

  async #whole(answer: IncomingMessage, method: string): Promise<string> {
    const chunks: Buffer[] = []
    let bytes = 0
    try {
      for await (const chunk of answer) {
        bytes += (chunk as Buffer).length
        if (bytes > MAX_BYTES) throw this.#odd(method)
        chunks.push(chunk as Buffer)
      }
    } catch (error) {
      if (error instanceof StoreError) throw error
      throw new StoreError(`${this.endpoint} has broken an answer off (${(error as Error).message})`)
    }
    return Buffer.concat(chunks).toString('utf8')
  }

  #parse(body: string, method: string): Json {
    const json = asJson(body)
    if (json === undefined) throw this.#odd(method, body)
    return json
  }

  #odd(method: string, body?: string): StoreError {
    const said = body === undefined ? '' : `: ${JSON.stringify(body.slice(0, SHOWN_CHARACTERS).trim())}`
    return new StoreError(`${this.endpoint} answers ${method} in a way that etcd's gateway does not${said}`)
  }

  #refusal(method: string, json: Json): StoreError {
    const { error, message, status } = json
    const why = message ?? (typeof error === 'string' ? error : (error as Json | undefined)?.message)
    return new StoreError(`${this.endpoint} refuses ${method} (${why ?? `HTTP ${status}`})`)
  }
}

function asJson(body: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null ? (value as Json) : undefined
  } catch {
    return undefined
  }
}

const base64 = (it: string) => Buffer.from(it, 'utf8').toString('base64')

const text = (it: string | undefined) => Buffer.from(it ?? '', 'base64').toString('utf8')

function revisionOf({ header }: Json): string | undefined {
  const { revision } = (header ?? {}) as Json
  return typeof revision === 'string' ? revision : undefined
}
