import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Socket } from 'node:net'
import type { SecureContext } from 'node:tls'

/** Makes a connection (TCP). @param signal it is not needed any more @returns a rejection with the reason if it cannot */
export type Connect = (host: string, port: number, signal: AbortSignal) => Promise<Socket>

/** A connection of which nothing is heard is probed after this time. */
const TCP_KEEPALIVE_MS = 10_000

const KEPT = { keepAlive: true, keepAliveMsecs: TCP_KEEPALIVE_MS } as const

type Options = Parameters<HttpAgent['createConnection']>[0]
type Callback = NonNullable<Parameters<HttpAgent['createConnection']>[1]>

/** Keeps connections of another's making. */
class PlainAgent extends HttpAgent {
  readonly #maker: Maker

  constructor(connect: Connect) {
    super(KEPT)
    this.#maker = new Maker(connect)
  }

  override createConnection(options: Options, callback?: Callback): undefined {
    this.#maker.make(options, callback, (socket) => socket)
  }

  override destroy(): void {
    this.#maker.end()
    super.destroy()
  }
}

/** The same with TLS. */
class TlsAgent extends HttpsAgent {
  readonly #maker: Maker

  constructor(connect: Connect, secureContext: SecureContext) {
    super({ ...KEPT, secureContext })
    this.#maker = new Maker(connect)
  }

  override createConnection(options: Options, callback?: Callback): undefined {
    const secure = (socket: Socket) => super.createConnection({ ...options, socket } as Options) as Socket
    this.#maker.make(options, callback, secure)
  }

  override destroy(): void {
    this.#maker.end()
    super.destroy()
  }
}

class Maker {
  readonly #connect: Connect
  readonly #end = new AbortController()

  constructor(connect: Connect) {
    this.#connect = connect
  }

  make({ host, port }: Options, callback: Callback | undefined, wrap: (socket: Socket) => Socket): void {
    this.#connect(host ?? '', Number(port), this.#end.signal)
      .then((socket) => {
        if (this.#end.signal.aborted) socket.destroy()
        this.#end.signal.throwIfAborted()
        return wrap(socket.setNoDelay(true).setKeepAlive(true, TCP_KEEPALIVE_MS))
      })
      .then(
        (socket) => callback?.(null, socket),
        // Node.js has the type of the second argument wrong.
        (error) => (callback as ((error: Error) => void) | undefined)?.(error),
      )
  }

  end(): void {
    this.#end.abort()
  }
}

/** An agent for one endpoint of etcd. @param secureContext undefined: without TLS */
export function agentFor(secureContext: SecureContext | undefined, connect: Connect): HttpAgent {
  return secureContext === undefined ? new PlainAgent(connect) : new TlsAgent(connect, secureContext)
}
