import t from 'tap'
import type { KernelPath } from '../../../../src/control/datapath/kernel-path.js'
import { MacTable } from '../../../../src/control/datapath/mac-table.js'
import type { FdbEntry } from '../../../../src/memory/fdb-upkeep.js'
import { DEVICE } from '../../../../src/memory/target.js'

const hex = (mac: Uint8Array) => Buffer.from(mac).toString('hex')

/** What a table writes, in its order, and what it has now. */
function recorded(room = Number.POSITIVE_INFINITY) {
  const writes: string[] = []
  const macs = new Map<string, string>()
  const seen = new Map<string, number>()
  const path: Pick<KernelPath, 'setMac' | 'removeMac' | 'seenS'> = {
    setMac: (mac, port, { pinned, carried }) => {
      if (!macs.has(hex(mac)) && macs.size >= room) return false
      const text = `${port === DEVICE ? 'device' : port}${pinned ? ' pinned' : ''}${carried ? ' carried' : ''}`
      writes.push(`${hex(mac)} ${text}`)
      macs.set(hex(mac), text)
      return true
    },
    removeMac: (mac) => {
      writes.push(`${hex(mac)} gone`)
      macs.delete(hex(mac))
    },
    seenS: (mac) => seen.get(hex(mac)),
  }
  return { table: new MacTable(path as KernelPath), writes, macs, seen }
}

const entry = (last: number, port: number, more: Partial<FdbEntry> = {}): FdbEntry => ({
  macHigh: 0x0200,
  macLow: last,
  vlan: 0,
  port,
  ageS: 1,
  ...more,
})

t.test(
  'the kernel gets the untagged MACs of this side and of all peers, and knows which it carries',
  async (t) => {
    const { table, macs } = recorded()
    const fdb = [
      entry(1, DEVICE, { ageS: undefined }),
      entry(2, 0),
      entry(3, 1),
      entry(4, 0, { vlan: 7 }),
      entry(0xfffffffe, 0),
    ]
    table.follow(fdb, (row) => row === 0)
    t.same(Object.fromEntries(macs), {
      '020000000001': 'device pinned',
      '020000000002': '0 carried',
      '020000000003': '1',
      '0200fffffffe': '0 carried',
    })
  },
)

t.test('only what has changed is written', async (t) => {
  const { table, writes } = recorded()
  table.follow([entry(1, DEVICE), entry(2, 0), entry(3, 0)], () => true)
  writes.length = 0
  table.follow([entry(1, DEVICE), entry(2, 0), entry(3, 0)], () => true)
  t.same(writes, [])
  table.follow([entry(1, DEVICE), entry(2, 1), entry(3, 0, { ageS: undefined })], () => true)
  t.same(writes, ['020000000002 1 carried', '020000000003 0 pinned carried'])
  writes.length = 0
  table.follow([entry(1, DEVICE)], () => true)
  t.same(writes.sort(), ['020000000002 gone', '020000000003 gone'])
  writes.length = 0
  table.follow([entry(1, DEVICE), entry(2, 1)], () => false)
  t.same(writes, ['020000000002 1'], 'the workers carry that peer')
})

t.test('what the kernel has seen lately is told, if nobody has pinned it', async (t) => {
  const { table, seen } = recorded()
  table.follow([entry(1, DEVICE, { ageS: undefined }), entry(2, 0), entry(3, 0), entry(4, 0)], () => true)
  seen.set('020000000001', 0).set('020000000002', 3).set('020000000003', 200)
  t.same(
    [...table.seen()].map(({ mac, port }) => [hex(mac), port]),
    [['020000000002', 0]],
  )
})

t.test('a MAC that there is no room for holds up no other one, and gets the room that is left', async (t) => {
  const { table, macs } = recorded(2)
  const none = () => false
  table.follow([entry(1, 0), entry(2, 1), entry(3, 2)], none)
  t.same(Object.fromEntries(macs), { '020000000001': '0', '020000000002': '1' })
  // One that is known moves, one goes, and one is still too many at that moment.
  table.follow([entry(3, 2), entry(1, 3)], none)
  t.same(Object.fromEntries(macs), { '020000000001': '3' })
  table.follow([entry(3, 2), entry(1, 3)], none)
  t.same(Object.fromEntries(macs), { '020000000001': '3', '020000000003': '2' })
})
