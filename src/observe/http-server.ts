import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** What is answered. */
export interface Answer {
  readonly status: number
  /** The media type. */
  readonly type: string
  readonly body: string
}

/** What stands at a path. It must not throw. */
export type Page = (headers: IncomingMessage['headers']) => Promise<Answer>

/** More connections at once are closed at once. */
const MAX_CONNECTIONS = 16

/** A connection lives no longer, however slowly the other side writes or reads. Each has one request. */
const CONNECTION_MS = 10_000

const MAX_HEADER_BYTES = 8_192

const PLAIN = 'text/plain; charset=utf-8'

/**
 * A server for some pages, of which a slow or greedy client gets little. It does not listen yet.
 * @param pages by their paths
 */
export function pagesServer(pages: Readonly<Record<string, Page>>): Server {
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES }, (request, response) => {
    void answerTo(request, pages).then((answer) => send(request, response, answer))
  })
  server.maxConnections = MAX_CONNECTIONS
  server.maxRequestsPerSocket = 1
  server.on('connection', (socket: Socket) => {
    const deadline = setTimeout(() => socket.destroy(), CONNECTION_MS).unref()
    socket.once('close', () => clearTimeout(deadline))
  })
  server.unref()
  return server
}

async function answerTo(
  { method, url = '', headers }: IncomingMessage,
  pages: Readonly<Record<string, Page>>,
): Promise<Answer> {
  const path = url.replace(/\?.*/s, '')
  if (!Object.hasOwn(pages, path))
    return { status: 404, type: PLAIN, body: `there is only: ${Object.keys(pages).join(', ')}\n` }
  if (method !== 'GET' && method !== 'HEAD')
    return { status: 405, type: PLAIN, body: 'only GET and HEAD are answered\n' }
  return pages[path](headers)
}

function send(request: IncomingMessage, response: ServerResponse, { status, type, body }: Answer): void {
  const headers = {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    connection: 'close',
    ...(status === 405 && { allow: 'GET, HEAD' }),
  }
  response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : body)
}
