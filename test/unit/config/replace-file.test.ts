import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import t from 'tap'
import { replaceFile } from '../../../src/config/replace-file.js'

t.test('the content is new, and only the owner reads it', async (t) => {
  const folder = t.testdir({ 'wg0.conf': 'old' })
  const path = `${folder}/wg0.conf`
  chmodSync(path, 0o644)
  const { uid, gid, ino } = statSync(path)
  const before = process.umask(0)
  t.teardown(() => process.umask(before))
  await replaceFile(path, Buffer.from('new'))
  t.equal(readFileSync(path, 'utf8'), 'new')
  const after = statSync(path)
  t.same([after.mode & 0o777, after.uid, after.gid], [0o600, uid, gid])
  t.not(after.ino, ino, 'another file, put in the place of the old one')
  t.same(readdirSync(folder), ['wg0.conf'])
})

t.test('what lies in the place of the new file is not written into', async (t) => {
  const folder = t.testdir({ 'wg0.conf': 'old', victim: 'mine' })
  symlinkSync('victim', `${folder}/wg0.conf.tmp`)
  await replaceFile(`${folder}/wg0.conf`, Buffer.from('new'))
  t.equal(readFileSync(`${folder}/victim`, 'utf8'), 'mine')
  t.equal(readFileSync(`${folder}/wg0.conf`, 'utf8'), 'new')
})

t.test('an error is one sentence, and leaves the file as it was', async (t) => {
  const folder = t.testdir({ 'wg0.conf': 'old' })
  mkdirSync(`${folder}/wg0.conf.tmp`)
  writeFileSync(`${folder}/wg0.conf.tmp/full`, '')
  await t.rejects(replaceFile(`${folder}/wg0.conf`, Buffer.from('new')), {
    name: 'UserError',
    message: /wg0\.conf cannot be written \(\w+\); it is as it was$/,
  })
  t.equal(readFileSync(`${folder}/wg0.conf`, 'utf8'), 'old')
  await t.rejects(replaceFile(`${folder}/no.conf`, Buffer.from('new')), { message: /\(ENOENT\)/ })
  await t.rejects(replaceFile('/dev/null', Buffer.from('new')), { message: /is not a regular file/ })
})
