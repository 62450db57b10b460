import t from 'tap'
import { expose, FORMS, formFor } from '../../../src/observe/exposition.js'
import { counter, gauge } from '../../../src/observe/family.js'

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
