import { randomBytes } from 'node:crypto'
import t from 'tap'
import { Directory } from '../../../../src/control/discovery/directory.js'
import { KeptMembers } from '../../../../src/control/discovery/kept-members.js'
import { formatValue } from '../../../../src/control/discovery/member-value.js'

t.test('members that could not be written are written later, and seldom tried meanwhile', async (t) => {
  const disk = { isFull: true, tries: 0, text: '' }
  const time = { nowMs: 0 }
  const state = {
    path: '/state',
    replace: async (_name: string, text: string) => {
      disk.tries++
      if (!disk.isFull) disk.text = text
      return !disk.isFull
    },
  }
  const directory = new Directory({
    graceMs: 1_000,
    ownName: 'me',
    signatures: () => undefined,
    told: () => {},
    refused: () => {},
    alive: () => new Set(),
  })
  const kept = new KeptMembers(directory, {
    file: 'etcd.json',
    platform: { clock: { nowMs: () => time.nowMs }, state } as never,
    log: {} as never,
    faults: {} as never,
  })
  const pass = async (seconds: number) => {
    for (let second = 0; second < seconds; second++) {
      time.nowMs += 1_000
      kept.tick(time.nowMs)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const publicKey = Uint8Array.from(randomBytes(32))
  directory.put('a', formatValue({ name: '', publicKey, networks: [], endpoints: [] }), 0)
  kept.change()
  await pass(600)
  t.ok(disk.tries > 1 && disk.tries <= 21, `${disk.tries} tries in ten minutes`)
  disk.isFull = false
  await pass(31)
  t.match(JSON.parse(disk.text).values, [['a', /version/]])
  const { tries } = disk
  await pass(600)
  await kept.close()
  t.equal(disk.tries, tries, 'once')
})
