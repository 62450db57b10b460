import { once } from 'node:events'
import { request } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { type Answer, type Page, pagesServer } from '../../../src/observe/http-server.js'

const HELLO: Answer = { status: 200, type: 'text/plain; charset=utf-8', body: 'hëllo\n' }

async function serve(t: Test, page: Page = async () => HELLO): Promise<number> {
  const server = pagesServer({ '/metrics': page, '/healthz': async () => HELLO })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}

interface Got {
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

async function get(port: number, path: string, method = 'GET', headers = {}): Promise<Got> {
  const asked = request({ host: '127.0.0.1', port, path, method, headers, agent: false })
  asked.end()
  const [response] = await once(asked, 'response')
  let body = ''
  for await (const chunk of response.setEncoding('utf8')) body += chunk
  return { status: response.statusCode, headers: response.headers, body }
}

async function ended(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  socket.on('error', () => {})
  await once(socket, 'close')
  return text
}

t.test('a page, for GET and HEAD', async (t) => {
  const port = await serve(t)
  t.match(await get(port, '/metrics'), {
    status: 200,
    headers: { 'content-type': 'text/plain; charset=utf-8', 'content-length': '7', connection: 'close' },
    body: 'hëllo\n',
  })
  t.match(await get(port, '/metrics?x=/y'), { status: 200 })
  t.match(await get(port, '/metrics', 'HEAD'), { status: 200, headers: { 'content-length': '7' }, body: '' })
})

t.test('other paths and other methods', async (t) => {
  const port = await serve(t)
  for (const path of ['/', '/metrics/', '/constructor', '/__proto__', '//metrics', '*'])
    t.match(await get(port, path), { status: 404, body: 'there is only: /metrics, /healthz\n' }, path)
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'])
    t.match(await get(port, '/metrics', method), { status: 405, headers: { allow: 'GET, HEAD' } }, method)
})

t.test('the page gets the headers', async (t) => {
  const port = await serve(t, async ({ accept }) => ({ ...HELLO, body: `${accept}` }))
  t.match(await get(port, '/metrics', 'GET', { accept: 'x/y' }), { body: 'x/y' })
})

t.test('a head that is too long, and one that is none', async (t) => {
  const port = await serve(t)
  const long = connect(port, '127.0.0.1')
  long.write(`GET /metrics HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(9_000)}\r\n\r\n`)
  t.match(await ended(long), /^HTTP\/1.1 431 /)
  const none = connect(port, '127.0.0.1')
  none.write('what?\r\n\r\n')
  t.match(await ended(none), /^HTTP\/1.1 400 /)
  t.match(await get(port, '/metrics'), { status: 200 })
})

t.test('a connection has one answer', async (t) => {
  const port = await serve(t)
  const socket = connect(port, '127.0.0.1')
  socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(3))
  const text = await ended(socket)
  t.equal(text.split('HTTP/1.1 200').length - 1, 1)
})

t.test('more than 16 connections are closed at once, and a silent one after 10 s', async (t) => {
  const port = await serve(t)
  const startedMs = performance.now()
  const idle = await Promise.all(
    Array.from({ length: 16 }, async () => {
      const socket = connect(port, '127.0.0.1')
      await once(socket, 'connect')
      return socket
    }),
  )
  const ends = idle.map(ended)
  const more = connect(port, '127.0.0.1')
  t.equal(await ended(more), '')
  t.ok(performance.now() - startedMs < 9_000, 'at once')
  await Promise.all(ends)
  t.ok(performance.now() - startedMs > 9_000)
  t.match(await get(port, '/metrics'), { status: 200 })
})
