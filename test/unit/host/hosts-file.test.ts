import {
  chmodSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import t from 'tap'
import { editHosts } from '../../../src/host/hosts-file.js'
import { tryLock } from '../../../src/linux/file-lock.js'

t.test('it is replaced, with its bytes, its mode and its link', async (t) => {
  const folder = t.testdir()
  const bytes = Buffer.from([0x23, 0xe9, 0xff, 0x0a])
  writeFileSync(`${folder}/real`, bytes)
  chmodSync(`${folder}/real`, 0o644)
  symlinkSync('real', `${folder}/hosts`)
  const { ino } = statSync(`${folder}/real`)
  await editHosts(`${folder}/hosts`, (text) => `${text}x`)
  t.same(readFileSync(`${folder}/real`), Buffer.concat([bytes, Buffer.from('x')]))
  t.ok(lstatSync(`${folder}/hosts`).isSymbolicLink())
  const after = statSync(`${folder}/real`)
  t.equal(after.mode & 0o777, 0o644)
  t.not(after.ino, ino)
  t.same(readdirSync(folder).sort(), ['hosts', 'real'])
  await editHosts(`${folder}/hosts`, (text) => text)
  t.equal(statSync(`${folder}/real`).ino, after.ino, 'nothing is written if nothing is other')
})

t.test('twenty changes at once are all made', async (t) => {
  const path = `${t.testdir({ hosts: '' })}/hosts`
  const numbers = Array.from({ length: 20 }, (_, number) => `${number}\n`)
  await Promise.all(numbers.map((it) => editHosts(path, (text) => text + it)))
  t.same(
    readFileSync(path, 'utf8')
      .split(/(?<=\n)/)
      .sort(),
    [...numbers].sort(),
  )
})

t.test('what cannot be is one sentence', async (t) => {
  const folder = t.testdir({ hosts: 'a' })
  await t.rejects(editHosts(`${folder}/none`, String), { message: /none cannot be written \(ENOENT\)/ })
  t.equal(tryLock(openSync(`${folder}/hosts`, 'r')), true)
  await t.rejects(
    editHosts(`${folder}/hosts`, () => 'b'),
    { message: /another program has locked it/ },
  )
  t.equal(readFileSync(`${folder}/hosts`, 'utf8'), 'a')
})
