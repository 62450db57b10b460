/** What docs/status.schema.json says. That real tunnels keep to it is tested in test/net/life/metrics.test.ts. */
import t from 'tap'
import { WORKER_REASONS } from '../../src/control/datapath/reason.js'
import { FAULT_PLACES, LINE_LOSSES } from '../../src/control/faults.js'
import { PEER_STATES } from '../../src/control/peer/liveness.js'
import { DROP_REASONS, KERNEL_DROP_REASONS, STATUS_SCHEMA } from '../../src/control/status.js'
import { readStatusSchema, type Schema, sampleStatus } from '../support/status-sample.js'
import { statusMistakes } from '../support/status-schema.js'

const schema = readStatusSchema()
const { properties = {}, definitions = {} } = schema
const peer = definitions.peer.properties ?? {}

const keysOf = (of: Schema | undefined) => Object.keys(of?.properties ?? {}).sort()

t.test('it has every word that the program may use, and no other', async (t) => {
  t.equal(properties.schema.const, STATUS_SCHEMA)
  t.same(keysOf(properties.drops), [...Object.keys(DROP_REASONS), ...Object.keys(KERNEL_DROP_REASONS)].sort())
  t.same(keysOf(properties.faults.properties?.places), Object.keys(FAULT_PLACES).sort())
  t.same(keysOf(properties.faults.properties?.log_lines_lost), Object.keys(LINE_LOSSES).sort())
  t.same(peer.state.enum, PEER_STATES)
  const reasons = peer.datapath.properties?.reason.enum ?? []
  t.same([...reasons].sort(), [...Object.keys(WORKER_REASONS), null].sort())
})

t.test('a status keeps to it; one with another form does not', async (t) => {
  const status = sampleStatus()
  t.same(statusMistakes(status), [])
  t.same(statusMistakes(status.peers[0], 'peer'), [])
  t.not(statusMistakes({ ...status, schema: 2 }).length, 0)
  t.not(statusMistakes({ ...status, more: 1 }).length, 0)
  const { uptime_s: _, ...less } = status
  t.not(statusMistakes(less).length, 0)
  t.not(statusMistakes({ ...status, mtu_bytes: 'many' }).length, 0)
  t.not(statusMistakes({ ...status, drops: { ...status.drops, runt: -1 } }).length, 0)
  t.not(statusMistakes({ ...status, peers: [{ ...status.peers[0], state: 'ill' }] }).length, 0)
})
