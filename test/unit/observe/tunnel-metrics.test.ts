import t from 'tap'
import { peerFamilies } from '../../../src/observe/peer-metrics.js'
import { tunnelFamilies } from '../../../src/observe/tunnel-metrics.js'
import { HEALTHY, numbersIn, sampleStatus } from '../../support/status-sample.js'

const START_S = 1_700_000_000
const NOW_S = 1_800_000_000

/** Figures of a status that have no metric of their own, and why. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  pid: 'Prometheus has no use for it',
  'source_ports.0': 'a name, so it is a label where it is one',
  'tables.0': 'a name, so it is a label',
  uptime_s: 'it is in the time of the start',
  'faults.count': 'the sum of all places',
}

t.test(
  'every figure of a status is in the metrics, as it is, in seconds, or as the time of an age',
  async (t) => {
    const status = sampleStatus()
    const families = [...tunnelFamilies(status, HEALTHY, START_S), ...peerFamilies(status.peers, NOW_S)]
    const values = new Set(families.flatMap(({ samples }) => samples.map(({ value }) => value)))
    const figures = numbersIn(status).filter(([path]) => path !== 'schema')
    t.ok(figures.length > 100, `${figures.length} figures`)
    const inBaseUnit = (path: string, it: number) => (path.endsWith('_ms') ? it / 1000 : it)
    const missing = figures.filter(
      ([path, it]) => !values.has(inBaseUnit(path, it)) && !values.has(NOW_S - it),
    )
    t.same(missing.map(([path]) => path).sort(), Object.keys(LEFT_OUT).sort())
  },
)

t.test('no two metrics have one name, and each has a sentence', async (t) => {
  const status = sampleStatus()
  const families = [...tunnelFamilies(status, HEALTHY, START_S), ...peerFamilies(status.peers, NOW_S)]
  const names = families.map(({ name }) => name)
  t.equal(new Set(names).size, names.length)
  for (const { name, help, type } of families) {
    t.match(name, /^udptun_[a-z][a-z_]*$/)
    t.match(help, /^[A-Z].*\.$/, name)
    t.equal(name.endsWith('_total'), type === 'counter', name)
  }
})

t.test('a tunnel that does not work, and what is not there', async (t) => {
  const status = { ...sampleStatus(), fdb: null, privacy: null, device_up: false, listen_trouble: 'gone' }
  const health = { ...HEALTHY, healthy: false, workers: { tap: true, udp: false } }
  const families = tunnelFamilies(status, health, START_S)
  const samples = (name: string) => families.find((it) => it.name === name)?.samples
  t.same(samples('udptun_up'), [{ value: 0, labels: [] }])
  t.same(samples('udptun_device_up'), [{ value: 0, labels: [] }])
  t.same(samples('udptun_listen_up'), [{ value: 0, labels: [] }])
  t.same(samples('udptun_private'), [{ value: 0, labels: [] }])
  t.same(samples('udptun_crypto_info'), [])
  t.same(samples('udptun_fdb_entries'), undefined)
  t.same(samples('udptun_worker_up'), [
    { value: 1, labels: ['tap'] },
    { value: 0, labels: ['udp'] },
  ])
  t.same(samples('udptun_start_time_seconds'), [{ value: START_S, labels: [] }])
})

t.test('a place without a fault has a series from the start', async (t) => {
  const status = sampleStatus()
  const faults = { ...status.faults, places: { icmp: 3 } }
  const families = tunnelFamilies({ ...status, faults }, HEALTHY, START_S)
  const places = families.find(({ name }) => name === 'udptun_faults_total')?.samples ?? []
  t.ok(places.length > 10)
  t.same(
    places.filter(({ value }) => value > 0),
    [{ value: 3, labels: ['icmp'] }],
  )
})
