import { randomBytes } from 'node:crypto'
import t from 'tap'
import { Directory } from '../../../../src/control/discovery/directory.js'
import { KeptMembers } from '../../../../src/control/discovery/kept-members.js'
import { formatValue } from '../../../../src/control/discovery/member-value.js'
import type { Signatures } from '../../../../src/control/discovery/verdict.js'
import { SignedNetwork } from '../../../support/signed-network.js'

/** One run of the program, with a file that an earlier one may have written. */
function run(text: string | undefined, signatures?: Signatures) {
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
    signatures: () => signatures,
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

t.test('a stop before all are judged loses none of them', async (t) => {
  const network = new SignedNetwork(randomBytes(32))
  const all = Array.from({ length: 1_000 }, (_, at): [string, string] => {
    const name = `m${at}`
    const publicKey = Uint8Array.from(randomBytes(32))
    const record = network.record({ name, publicKey })
    return [name, formatValue({ name, publicKey, networks: record.networks, endpoints: [], record })]
  })
  const file = JSON.stringify({ version: 1, values: all })
  const budget = { left: 256 }
  const signatures: Signatures = {
    isRecordSigned: () => (budget.left-- > 0 ? true : undefined),
    isStatementSigned: () => true,
  }
  const first = run(file, signatures)
  first.kept.restore()
  t.equal(first.told.length, 256)
  budget.left = 128
  first.directory.judgePending(500)
  t.equal(first.told.length, 384)
  first.kept.tick()
  await first.kept.close()
  t.ok(first.disk.writes > 0)

  const second = run(first.disk.text, signatures)
  budget.left = 2_000
  second.kept.restore()
  t.same(second.told.sort(), all.map(([name]) => name).sort())
})
