import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import type { Change } from '../../../src/host/change.js'
import { Journal, type OtherJournal, parseJournal } from '../../../src/host/journal.js'
import { presentOwner } from '../../../src/host/owner.js'
import { StateDirectory } from '../../../src/state/state-directory.js'

const OWNER = { boot: 'this-boot', namespace: '7' }

const rule = (priority: number): Change => ({ kind: 'rule', family: 'ipv4', priority, table: 9 })

async function others(journal: Journal): Promise<OtherJournal[]> {
  const all: OtherJournal[] = []
  await journal.others((it) => void all.push(it))
  return all
}

t.test('another run sees what is to be taken back, and whether its run goes on', async (t) => {
  const path = t.testdir({ other: 'not a journal' })
  const state = new StateDirectory({ STATE_DIRECTORY: path })
  const [first, second] = [new Journal(state, OWNER), new Journal(state, OWNER)]
  t.same(await others(second), [], 'a run that changes nothing writes nothing')
  first.add([rule(1), rule(2)])
  first.add([rule(3)])
  first.drop([rule(2)])
  t.same(first.changes, [rule(1), rule(3)])
  const [seen, ...more] = await others(second)
  t.same(more, [])
  t.match(seen, { alive: true, changes: [rule(1), rule(3)] })
  t.same(await others(first), [], 'its own is no other one')
  first.close()
  t.same(readdirSync(path), ['other'])
  t.notOk(first.isLost)
})

t.test(
  'a journal that nobody holds is that of a killed run; one from before the last boot is removed',
  async (t) => {
    const path = t.testdir({})
    const journal = new Journal(new StateDirectory({ STATE_DIRECTORY: path }), OWNER)
    const write = (name: string, owner: object | string) =>
      writeFileSync(
        join(path, `undo-${name}`),
        `${typeof owner === 'string' ? owner : JSON.stringify(owner)}\n+${JSON.stringify(rule(1))}\n`,
      )
    write('here', OWNER)
    write('elsewhere', { ...OWNER, namespace: '8' })
    write('before', { ...OWNER, boot: 'the one before' })
    write('broken', '{"boot')
    const found = await others(journal)
    t.match(found, [{ alive: false, changes: [rule(1)] }])
    t.equal(found.length, 1)
    t.same(readdirSync(path).sort(), ['undo-elsewhere', 'undo-here'])
    found[0].remove()
    t.same(readdirSync(path), ['undo-elsewhere'])
  },
)

t.test('wherever a text is cut off, it says a state that there was', async (t) => {
  const steps = fc.array(fc.tuple(fc.constantFrom('+', '-'), fc.integer({ min: 1, max: 4 })), {
    maxLength: 12,
  })
  fc.assert(
    fc.property(steps, fc.nat(), (all, at) => {
      const states: Change[][] = [[]]
      let text = `${JSON.stringify(OWNER)}\n`
      const now = new Map<number, Change>()
      for (const [sign, priority] of all) {
        if (sign === '+') now.set(priority, rule(priority))
        else now.delete(priority)
        text += `${sign}${JSON.stringify(rule(priority))}\n`
        states.push([...now.values()])
      }
      const cut = parseJournal(text.slice(0, at % (text.length + 1)))
      t.ok(
        states.some((state) => JSON.stringify(state) === JSON.stringify(cut)),
        JSON.stringify(cut),
      )
    }),
  )
})

t.test('without a directory, all works but for the next start', async (t) => {
  const file = join(t.testdir({ 'no-folder': '' }), 'no-folder')
  const journal = new Journal(new StateDirectory({ STATE_DIRECTORY: file }), OWNER)
  journal.add([rule(1)])
  t.ok(journal.isLost)
  t.same(journal.changes, [rule(1)])
  journal.drop([rule(1)])
  t.same(journal.changes, [])
  t.same(await others(journal), [])
  journal.close()
})

t.test('a directory that others can write to is not used', async (t) => {
  const path = t.testdir({})
  chmodSync(path, 0o777)
  writeFileSync(join(path, 'undo-x'), `${JSON.stringify(OWNER)}\n+${JSON.stringify(rule(1))}\n`)
  const journal = new Journal(new StateDirectory({ STATE_DIRECTORY: path }), OWNER)
  t.same(await others(journal), [])
  journal.add([rule(1)])
  t.ok(journal.isLost)
  t.same(readdirSync(path), ['undo-x'])
})

t.test('the owner is this boot and this namespace', async (t) => {
  const owner = presentOwner()
  t.equal(owner.boot, readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim())
  t.match(owner.namespace, /^i?\d+$/)
  t.same(presentOwner(), owner)
})
