import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import t, { type Test } from 'tap'
import { Gateway } from '../../../src/etcd/gateway.js'

const PREFIX = '/udptun-fast/default/'

interface Question {
  readonly key: string
  readonly range_end: string
  readonly limit: string
}

interface Kv {
  readonly key: Buffer
  readonly value: Buffer
}

const WHOLE = { header: { revision: '7' } }
const encoded = (kvs: readonly Kv[]) =>
  kvs.map(({ key, value }) => ({ key: key.toString('base64'), value: value.toString('base64') }))

/** A gateway that gives up after some questions, so that a reader who asks for ever fails. */
async function gateway(t: Test, answer: (question: Question) => object) {
  const server = createServer(async (request, response) => {
    asked.count++
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    response.statusCode = asked.count > 100 ? 500 : 200
    const question = JSON.parse(Buffer.concat(chunks).toString()) as Question
    response.end(JSON.stringify(asked.count > 100 ? { message: 'asked too often' } : answer(question)))
  })
  const asked = { count: 0 }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const it = new Gateway({
    endpoints: [`http://127.0.0.1:${port}`],
    credentials: () => ({ secureContext: undefined, password: undefined }),
    connect: async (host, port) => {
      const socket = connect(port, host)
      await once(socket, 'connect')
      return socket
    },
  })
  t.teardown(() => {
    it.close()
    server.close()
    server.closeAllConnections()
  })
  return { it, asked }
}

/** Answers as etcd does. */
function pagesOf(kvs: readonly Kv[]) {
  const sorted = [...kvs].sort((a, b) => Buffer.compare(a.key, b.key))
  return ({ key, range_end, limit }: Question) => {
    const [from, end] = [key, range_end].map((it) => Buffer.from(it, 'base64'))
    const inside = sorted.filter((it) => Buffer.compare(it.key, from) >= 0 && Buffer.compare(it.key, end) < 0)
    const page = inside.slice(0, Number(limit))
    return { ...WHOLE, kvs: encoded(page), count: String(inside.length), more: page.length < inside.length }
  }
}

const numbered = (count: number, before: string, value = Buffer.from('{}')): Kv[] =>
  Array.from({ length: count }, (_, at) => ({
    key: Buffer.concat([Buffer.from(PREFIX), Buffer.from(`${before}${at}`, 'latin1')]),
    value,
  }))

t.test('all pages are read once, also if keys are no UTF-8', async (t) => {
  for (const before of ['m', '\xff']) {
    const { it, asked } = await gateway(t, pagesOf(numbered(1_201, before)))
    const { entries, revision, isWhole } = await it.read(PREFIX, 2_000)
    t.equal(new Set(entries.map(({ key }) => key)).size, 1_201)
    t.same([entries.length, revision, isWhole, asked.count], [1_201, '7', true, 3])
  }
  const { it } = await gateway(t, () => WHOLE)
  t.same(await it.read(PREFIX, 2_000), { entries: [], revision: '7', isWhole: true })
})

t.test('pages that come to no end are refused', async (t) => {
  const [first, second] = numbered(2, 'm')
  for (const kvs of [[first], [second, first], []]) {
    const { it, asked } = await gateway(t, () => ({ ...WHOLE, kvs: encoded(kvs), more: true }))
    await t.rejects(it.read(PREFIX, 2_000), {
      name: 'StoreError',
      message: /answers kv\/range in a way that etcd's gateway does not/,
    })
    t.ok(asked.count <= 2, `${asked.count} questions`)
  }
})

t.test('no more is read than is wanted', async (t) => {
  const { it, asked } = await gateway(t, pagesOf(numbered(3_000, 'm')))
  const { entries, isWhole } = await it.read(PREFIX, 1_200)
  t.same([entries.length, isWhole, asked.count], [1_200, false, 3])
  const all = await it.read(PREFIX, 3_000)
  t.same([all.entries.length, all.isWhole], [3_000, true])
})

t.test('more bytes than members can have are refused', async (t) => {
  const { it, asked } = await gateway(t, pagesOf(numbered(2_000, 'm', Buffer.alloc(16_384))))
  await t.rejects(it.read(PREFIX, 2_000), { message: /has more than 16 MiB below \/udptun-fast\/default\// })
  t.equal(asked.count, 3)
})
