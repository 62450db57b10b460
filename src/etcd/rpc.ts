import { type Agent, request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { SecureContext } from 'node:tls'
import { agentFor, type Connect } from './agents.js'
import { StoreError } from './store.js'

/** What is read from files, and read again for each new connection, because certificates are renewed. */
export interface Credentials {
  /** Undefined: without TLS. */
  readonly secureContext: SecureContext | undefined
  readonly password: string | undefined
}

export interface RpcOptions {
  /** URLs without a path. One is asked; another one if that fails. */
  readonly endpoints: readonly string[]
  readonly user?: string | undefined
  /** @throws if a file cannot be read */
  readonly credentials: () => Credentials
  /** Makes the connections. */
  readonly connect: Connect
  /** The endpoint that is asked first. */
  readonly first?: number
}

/** How long one answer is waited for. */
const CALL_MS = 5_000

/** The longest answer. */
export const MAX_BYTES = 16 * 1024 * 1024

/** So much of an answer that makes no sense is shown. */
const SHOWN_CHARACTERS = 120

export type Json = Readonly<Record<string, unknown>>

/**
 * Asks etcd's JSON gateway (etcd 3.4 and later): each method of etcd's gRPC is a POST of a JSON value below `/v3`. A user
 * gets a token by a password, and a new one when that is good no more. All methods reject with {@link StoreError}.
 */
export class Rpc {
  readonly #options: RpcOptions
  #at: number
  #requests = 0
  #agent: Agent | undefined
  #password: string | undefined
  #token: string | undefined

  /** @throws if a file cannot be read */
  constructor(options: RpcOptions) {
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

  #open(): void {
    const { credentials, connect } = this.#options
    const { secureContext, password } = credentials()
    this.#password = password
    this.#agent = agentFor(this.endpoint.startsWith('https:') ? secureContext : undefined, connect)
  }

  /** The next question goes to another endpoint, on a new connection. */
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

  /** Asks one question. */
  async call(method: string, content: Json): Promise<Json> {
    const answer = await this.stream(method, content, AbortSignal.timeout(CALL_MS))
    return this.parse(await this.#whole(answer, method), method)
  }

  /** @returns the answer as it comes; its status is right */
  async stream(method: string, content: Json, signal: AbortSignal): Promise<IncomingMessage> {
    const before = this.#token
    const { answer, error } = await this.#tryPost(method, content, signal)
    if (error === undefined) return answer
    this.#token = undefined
    // A token is good for some minutes only, and until users or roles change.
    if (before === undefined) throw this.refusal(method, error)
    const again = await this.#tryPost(method, content, signal)
    if (again.error !== undefined) throw this.refusal(method, again.error)
    return again.answer
  }

  async #tryPost(method: string, content: Json, signal: AbortSignal) {
    const { user } = this.#options
    if (user !== undefined && this.#token === undefined) {
      const asked = { name: user, password: this.#password ?? '' }
      const answer = await this.#send('auth/authenticate', asked, {}, AbortSignal.timeout(CALL_MS))
      const json = this.parse(await this.#whole(answer, 'auth/authenticate'), 'auth/authenticate')
      if (answer.statusCode !== 200) throw this.refusal('auth/authenticate', json)
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
        if (bytes > MAX_BYTES) throw this.odd(method)
        chunks.push(chunk as Buffer)
      }
    } catch (error) {
      if (error instanceof StoreError) throw error
      throw new StoreError(`${this.endpoint} has broken an answer off (${(error as Error).message})`)
    }
    return Buffer.concat(chunks).toString('utf8')
  }

  /** @throws StoreError if it is no JSON of etcd's */
  parse(body: string, method: string): Json {
    const json = asJson(body)
    if (json === undefined) throw this.odd(method, body)
    return json
  }

  /** The gateway of etcd does not answer so. */
  odd(method: string, body?: string): StoreError {
    const said = body === undefined ? '' : `: ${JSON.stringify(body.slice(0, SHOWN_CHARACTERS).trim())}`
    return new StoreError(`${this.endpoint} answers ${method} in a way that etcd's gateway does not${said}`)
  }

  /** etcd says no. */
  refusal(method: string, json: Json): StoreError {
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
