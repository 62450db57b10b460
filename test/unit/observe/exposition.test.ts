import t from 'tap'
import { expose, FORMS, formFor } from '../../../src/observe/exposition.js'
import { counter, gauge, type Reading } from '../../../src/observe/family.js'
import { peerFamilies } from '../../../src/observe/peer-metrics.js'
import { sampleStatus } from '../../support/status-sample.js'

const [PROMETHEUS, OPENMETRICS] = FORMS

t.test('the form that is asked for', async (t) => {
  t.equal(formFor(undefined), PROMETHEUS)
  t.equal(formFor('*/*'), PROMETHEUS)
  t.equal(formFor('text/html'), PROMETHEUS, 'a browser sees something, too')
  t.equal(formFor('application/openmetrics-text'), OPENMETRICS)
  t.equal(
    formFor(
      'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
    ),
    OPENMETRICS,
    'what Prometheus 2.42 sends',
  )
  t.equal(formFor('text/plain;version=0.0.4;q=0.9,application/openmetrics-text;q=0.2'), PROMETHEUS)
})

const FAMILIES = [
  gauge('peer_up', 'Whether it is up.', 'peer', [[true, 'a "b"\\\nc']]),
  counter('drops', 'Dropped.', 'reason', [
    [2, 'runt'],
    [0, 'empty'],
  ]),
]

t.test("Prometheus's text", async (t) => {
  const text = await expose(FAMILIES, PROMETHEUS)
  t.match(text, '# TYPE udptun_peer_up gauge\nudptun_peer_up{peer="a \\"b\\"\\\\\\nc"} 1\n')
  t.match(
    text,
    '# TYPE udptun_drops_total counter\nudptun_drops_total{reason="runt"} 2\nudptun_drops_total{reason="empty"} 0\n',
  )
})

t.test('OpenMetrics has the name of a counter without its ending, and an end', async (t) => {
  const text = await expose(FAMILIES, OPENMETRICS)
  t.match(text, '# TYPE udptun_drops counter\nudptun_drops_total{reason="runt"} 2\n')
  t.ok(text.endsWith('\n# EOF\n'))
})

t.test('the next text has only what there is then', async (t) => {
  t.match(await expose([FAMILIES[0]], PROMETHEUS), /peer_up\{/)
  const text = await expose([gauge('peer_up', 'Whether it is up.', 'peer', [])], PROMETHEUS)
  t.notMatch(text, /peer_up\{/)
})

t.test('a family without a series is not there, also one that needs no labels', async (t) => {
  const { fwmark, vni } = { fwmark: null, vni: undefined }
  const families = [
    gauge('fwmark', 'The mark.', '', [[fwmark]]),
    gauge('vxlan_vni', 'The number.', '', [[vni]]),
    counter('none', 'None.', '', []),
    gauge('peer_up', 'Whether it is up.', 'peer', []),
    FAMILIES[0],
  ]
  for (const form of FORMS) {
    const text = await expose(families, form)
    t.notMatch(text, /fwmark|vxlan_vni|none/)
    t.equal(text, await expose([FAMILIES[0]], form))
    t.match(await expose([gauge('fwmark', 'The mark.', '', [[0]])], form), /^udptun_fwmark 0$/m)
  }
})

t.test('a long family is one', async (t) => {
  const readings = Array.from({ length: 1_000 }, (_, index): Reading => [index, `p${index}`])
  const families = [gauge('many', 'Many.', 'peer', readings), counter('more', 'More.', 'peer', readings)]
  for (const form of FORMS) {
    const lines = (await expose(families, form)).split('\n').filter((line) => line !== '')
    const heads = lines.filter((line) => line.startsWith('#'))
    t.equal(heads.length, form === OPENMETRICS ? 5 : 4)
    const series = lines.filter((line) => !line.startsWith('#'))
    t.same(series, [
      ...readings.map(([value, peer]) => `udptun_many{peer="${peer}"} ${value}`),
      ...readings.map(([value, peer]) => `udptun_more_total{peer="${peer}"} ${value}`),
    ])
    t.equal(lines.indexOf(heads[2]), 1_002, 'the second begins where the first ends')
  }
})

/** How long `work` takes, and how long it keeps all else waiting at the most, in ms. */
async function timesOf(work: () => Promise<unknown>): Promise<{ wholeMs: number; longestMs: number }> {
  let goesOn = true
  let longestMs = 0
  const startedMs = performance.now()
  let lastMs = startedMs
  const look = () => {
    const nowMs = performance.now()
    longestMs = Math.max(longestMs, nowMs - lastMs)
    lastMs = nowMs
    if (goesOn) setImmediate(look)
  }
  setImmediate(look)
  await work()
  const wholeMs = performance.now() - startedMs
  await new Promise(setImmediate)
  goesOn = false
  return { wholeMs, longestMs }
}

t.test('with 256 peers, main does other things meanwhile', async (t) => {
  const [peer] = sampleStatus().peers
  const peers = Array.from({ length: 256 }, (_, index) => ({ ...peer, name: `p${index}` }))
  const times = []
  for (let round = 0; round < 5; round++)
    times.push(await timesOf(() => expose(peerFamilies(peers, 1e9), PROMETHEUS)))
  const texts = times.map(({ wholeMs, longestMs }) => `${longestMs.toFixed(1)} of ${wholeMs.toFixed(1)} ms`)
  t.comment(`the longest wait: ${texts.join(', ')}`)
  t.ok(
    times.some(({ wholeMs, longestMs }) => longestMs < wholeMs / 3),
    'other processes may stop this one at any time, but not always',
  )
})
