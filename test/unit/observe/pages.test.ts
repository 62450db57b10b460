import t from 'tap'
import type { Health } from '../../../src/control/health.js'
import { Pages } from '../../../src/observe/pages.js'
import { HEALTHY, sampleStatus } from '../../support/status-sample.js'

const SICK: Health = { ...HEALTHY, healthy: false, reasons: ['the device tap0 is gone', 'and more'] }

function pages(health: () => Promise<Health> = async () => HEALTHY, status = sampleStatus) {
  const faults: unknown[] = []
  const all = new Pages({ take: (_place, error) => void faults.push(error) })
  const observe = () => {
    all.observed = { health, status }
  }
  const get = (path: string, accept?: string) => all.byPath[path]({ accept })
  return { all, observe, get, faults }
}

t.test('health: a sentence a line, or JSON for who prefers it', async (t) => {
  const well = pages()
  well.observe()
  t.match(await well.get('/healthz'), { status: 200, type: /^text\/plain/, body: 'healthy\n' })
  t.match(await well.get('/healthz', '*/*'), { type: /^text\/plain/ })
  t.match(await well.get('/healthz', 'application/json'), {
    status: 200,
    type: 'application/json',
    body: '{"healthy":true,"reasons":[]}\n',
  })
  const sick = pages(async () => SICK)
  sick.observe()
  t.match(await sick.get('/healthz'), { status: 503, body: 'the device tap0 is gone\nand more\n' })
  t.match(JSON.parse((await sick.get('/healthz', 'application/json')).body), {
    healthy: false,
    reasons: SICK.reasons,
  })
})

t.test('metrics are served while the tunnel does not work, too', async (t) => {
  const { observe, get } = pages(async () => SICK)
  observe()
  t.match(await get('/metrics'), { status: 200, type: /version=0.0.4/, body: /^udptun_up 0$/m })
  t.match(await get('/metrics', 'application/openmetrics-text'), { type: /openmetrics/, body: /# EOF\n$/ })
})

t.test('an invitation has no series: nobody is down', async (t) => {
  const sample = sampleStatus()
  const [peer] = sample.peers
  const peers = [peer, { ...peer, name: 'al:CD7Hj0', source: 'invitation' as const }]
  const { observe, get } = pages(undefined, () => ({ ...sample, peers }))
  observe()
  const { body } = await get('/metrics')
  t.match(body, /^udptun_peers 1$/m)
  t.match(body, `udptun_peer_up{peer="${peer.name}"}`)
  t.notMatch(body, /CD7Hj0/)
})

t.test('before the tunnel is up, and when it stops', async (t) => {
  const { all, observe, get } = pages()
  for (const path of ['/metrics', '/healthz'])
    t.match(await get(path), { status: 503, body: 'the tunnel is not up\n' })
  observe()
  t.match(await get('/healthz'), { status: 200 })
  all.observed = undefined
  for (const path of ['/metrics', '/healthz']) t.match(await get(path), { status: 503 })
})

t.test('an error is a fault of this program, and one answer later all is well again', async (t) => {
  let broken = true
  const { observe, get, faults } = pages(undefined, () => {
    if (broken) throw new Error('broken')
    return sampleStatus()
  })
  observe()
  t.match(await get('/metrics'), { status: 500, body: 'an error of this program: the log has it\n' })
  t.match(faults, [{ message: 'broken' }])
  broken = false
  t.match(await get('/metrics'), { status: 200 })
})

t.test('many who ask at once cost one question', async (t) => {
  let asked = 0
  const { observe, get } = pages(async () => {
    asked++
    return HEALTHY
  })
  observe()
  await Promise.all(Array.from({ length: 100 }, () => get('/metrics')))
  await get('/healthz')
  t.equal(asked, 1)
})
