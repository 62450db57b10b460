import { randomBytes } from 'node:crypto'
import t from 'tap'
import { Directory } from '../../../../src/control/discovery/directory.js'
import { KeptMembers } from '../../../../src/control/discovery/kept-members.js'
import { formatValue } from '../../../../src/control/discovery/member-value.js'

/** One run of the program, with a file that an earlier one may have written. */
function run(text: string | undefined) {
  const disk = { text, writes: 0 }
  const state = {
    path: '/state',
    read: () => disk.text,
    replace: async (_name: string, text: string) => {
      disk.text = text
      disk.writes++
      return true
    },
  }
  const told: string[] = []
  const directory: Directory = new Directory({
    graceMs: 1_000,
    ownName: 'me',
    signatures: () => undefined,
    told: (name: string) => {
      told.push(name)
      kept.change()
    },
    refused: () => {},
    alive: () => new Set<string>(),
  })
  const kept = new KeptMembers(directory, {
    file: 'etcd.json',
    platform: { clock: { nowMs: () => 0 }, state } as never,
    log: {} as never,
    faults: {} as never,
  })
  return { disk, directory, kept, told }
}

t.test('a start knows again whom the store has named last, and does not write that again', async (t) => {
  const first = run(undefined)
  first.kept.restore()
  const publicKey = Uint8Array.from(randomBytes(32))
  first.directory.put('a', formatValue({ name: '', publicKey, networks: [], endpoints: [] }), 0)
  first.kept.tick()
  await first.kept.close()
  t.match(JSON.parse(first.disk.text ?? ''), { version: 1, values: [['a', /version/]] })

  const second = run(first.disk.text)
  second.kept.restore()
  t.same(second.told, ['a'])
  second.kept.tick()
  await second.kept.close()
  t.equal(second.disk.writes, 0)
})
