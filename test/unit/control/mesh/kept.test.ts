import t from 'tap'
import { Kept } from '../../../../src/control/mesh/kept.js'

/** With a directory that may be full. */
function made() {
  const time = { nowMs: 0 }
  const disk = { isFull: false, tries: 0, text: '' }
  const said: string[] = []
  const state = {
    path: '/state',
    replace: async (_name: string, text: string) => {
      disk.tries++
      if (!disk.isFull) disk.text = text
      return !disk.isFull
    },
  }
  const names = [{ name: 'a', key: 'k', serial: 1 }]
  const kept = new Kept({
    platform: { clock: { nowMs: () => time.nowMs }, state } as never,
    ownKey: 'own',
    log: { warn: (it: string) => said.push(it) } as never,
    faults: {} as never,
    content: () => ({ network_key: null, names, records: [] }),
  })
  const pass = async (seconds: number) => {
    for (let second = 0; second < seconds; second++) {
      time.nowMs += 1_000
      kept.tick()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return { kept, disk, said, pass }
}

t.test('what could not be written is written later, and seldom tried meanwhile', async (t) => {
  const { kept, disk, said, pass } = made()
  disk.isFull = true
  kept.change()
  await pass(600)
  t.ok(disk.tries > 1 && disk.tries <= 21, `${disk.tries} tries in ten minutes`)
  t.equal(said.length, 1)
  disk.isFull = false
  await pass(31)
  t.match(JSON.parse(disk.text), { names: [{ name: 'a', serial: 1 }] })
  const { tries } = disk
  await pass(600)
  t.equal(disk.tries, tries, 'once')
})

t.test('at the end it is tried once more', async (t) => {
  const { kept, disk, pass } = made()
  disk.isFull = true
  kept.change()
  await pass(1)
  await kept.close()
  t.equal(disk.tries, 2)
})
