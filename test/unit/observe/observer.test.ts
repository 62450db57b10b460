import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { parseMetrics } from '../../../src/config/metrics-place.js'
import { Observer } from '../../../src/observe/observer.js'
import { HEALTHY, sampleStatus } from '../../support/status-sample.js'

const FAULTS = { take: (_place: string, error: unknown) => t.fail(String(error)) }
const TUNNEL = { status: sampleStatus, health: async () => HEALTHY }

const open = (place: string) => Observer.open(parseMetrics(place), FAULTS)

function statusOf(options: { socketPath: string } | { port: number }, path = '/healthz'): Promise<unknown> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', agent: false, path, ...options }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
      .on('error', reject)
      .end()
  })
}

t.test('a port', async (t) => {
  const observer = await open('0')
  const port = Number(/^http:\/\/127\.0\.0\.1:(\d+)\/metrics$/.exec(observer.where)?.[1])
  t.equal(await statusOf({ port }), 503, 'not up yet')
  observer.attach(TUNNEL)
  t.equal(await statusOf({ port }), 200)
  t.equal(await statusOf({ port }, '/metrics'), 200)
  await t.rejects(open(String(port)), {
    name: 'UserError',
    message: `metrics: another program listens on 127.0.0.1:${port}; choose another port`,
    exitCode: 1,
  })
  observer.detach()
  t.equal(await statusOf({ port }), 503)
  observer.close()
  await t.rejects(statusOf({ port }), { code: 'ECONNREFUSED' })
})

t.test('an address that this host has not', async (t) => {
  await t.rejects(open('192.0.2.55:0'), {
    message: 'metrics: this host has no address 192.0.2.55 to listen on; choose one that it has',
  })
})

t.test('a Unix socket', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'udptun-metrics-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const socketPath = join(directory, 'm.sock')
  const observer = await open(socketPath)
  observer.attach(TUNNEL)
  t.equal(observer.where, socketPath)
  t.equal(statSync(socketPath).mode & 0o777, 0o600)
  t.equal(await statusOf({ socketPath }), 200)
  await t.rejects(open(socketPath), {
    message: `metrics: another program answers at ${socketPath}; choose another path`,
  })
  t.equal(await statusOf({ socketPath }), 200)
  observer.close()
  t.notOk(existsSync(socketPath))
  writeFileSync(socketPath, '')
  await t.rejects(open(socketPath), {
    message: `metrics: ${socketPath} is there, and is no socket; choose another path`,
  })
  const missing = join(directory, 'no', 'm.sock')
  await t.rejects(open(missing), {
    message: `metrics: the directory of ${missing} is not there; make it, or choose another path`,
  })
})
