import t from 'tap'
import { Kept } from '../../../../src/control/mesh/kept.js'

t.test('that nothing can be kept is said once, and what can be kept later is kept', async (t) => {
  const time = { nowMs: 0 }
  const disk = { isFull: true, text: '' }
  const said: string[] = []
  const state = {
    path: '/state',
    replace: async (_name: string, text: string) => {
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
  kept.change()
  await pass(600)
  t.match(said, [/nothing can be kept in \/state/])
  t.equal(said.length, 1)
  disk.isFull = false
  await pass(31)
  t.match(JSON.parse(disk.text), { version: 1, names: [{ name: 'a', serial: 1 }] })
})
