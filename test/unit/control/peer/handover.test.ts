import t from 'tap'
import { parsePrefix } from '../../../../src/config/addresses.js'
import { Handovers, type Heir } from '../../../../src/control/peer/handover.js'

const peerOf = (row: number, more: Partial<Heir['settings']> = {}): Heir['settings'] => ({
  name: `p${row}`,
  public_key: undefined,
  endpoint: undefined,
  addresses: [],
  prefixes: [],
  macs: [],
  everything: false,
  preshared_key_file: undefined,
  persistent_keepalive: undefined,
  ...more,
})

const hub: Heir = { row: 0, carries: true, settings: peerOf(0, { prefixes: [parsePrefix('10.9.0.0/24')] }) }
const member = (carries: boolean): Heir => ({
  row: 1,
  carries,
  settings: peerOf(1, {
    introduced_by: 'p0',
    addresses: ['10.9.0.2', '10.8.0.2'],
    prefixes: [parsePrefix('10.9.0.64/26'), parsePrefix('10.0.0.0/8')],
  }),
})

t.test(
  'a member that does not carry may send itself; when it carries, its introducer for a moment',
  async (t) => {
    const handovers = new Handovers()
    t.ok(handovers.look([hub, member(false)], 0))
    t.notOk(handovers.look([hub, member(false)], 1_000))
    t.match(handovers.heirs([hub, member(false)], 1_000), [{ row: 1 }])
    t.ok(handovers.look([hub, member(true)], 10_000))
    const [heir, ...none] = handovers.heirs([hub, member(true)], 10_500)
    t.same(none, [])
    t.match(heir, { row: 0, settings: { addresses: ['10.9.0.2'], prefixes: [{ address: '10.9.0.64' }] } })
    t.equal(heir.settings.prefixes.length, 1, 'and only for what is in its own prefixes')
    t.ok(handovers.look([hub, member(true)], 12_100), 'the moment is over')
    t.same(handovers.heirs([hub, member(true)], 12_100), [])
    t.ok(handovers.look([hub, member(false)], 60_000))
    t.match(handovers.heirs([hub, member(false)], 60_000), [{ row: 1 }])
  },
)

t.test('peers of the settings have no heirs', async (t) => {
  const handovers = new Handovers()
  handovers.look([hub, { ...member(false), settings: peerOf(1) }], 0)
  t.same(handovers.heirs([hub, { ...member(false), settings: peerOf(1) }], 0), [])
})
