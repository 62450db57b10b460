import { closeSync, fstatSync, openSync, readFileSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { lostLog, openLogTarget } from '../../../src/cli/background-log.js'
import { UserError } from '../../../src/errors.js'

t.test('a file is added to, and only its owner reads it', async (t) => {
  const file = join(t.testdir({}), 'log')
  for (const line of ['first\n', 'second\n']) {
    const log = openLogTarget({ file, tag: 'x' })
    t.equal(log.name, file)
    writeSync(log.stdio as number, line)
    log.close()
  }
  t.equal(readFileSync(file, 'utf8'), 'first\nsecond\n')
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.throws(() => openLogTarget({ file: join(file, 'log'), tag: 'x' }), UserError)
})

t.test('the journal, only if the output of this process goes there', async (t) => {
  const before = process.env.JOURNAL_STREAM
  t.teardown(() => {
    if (before === undefined) delete process.env.JOURNAL_STREAM
    else process.env.JOURNAL_STREAM = before
  })
  const { dev, ino } = fstatSync(2)
  process.env.JOURNAL_STREAM = `${dev}:${ino}`
  t.match(openLogTarget({ file: undefined, tag: 'x' }), { name: 'the journal', stdio: /^[12]$/ })
  const fd = openSync('/dev/null', 'w')
  process.env.JOURNAL_STREAM = `${fstatSync(fd).dev}:1`
  const log = openLogTarget({ file: undefined, tag: 'x' })
  t.not(log.name, 'the journal')
  log.close()
  closeSync(fd)
})

t.test('a person is told if nobody reads the log', async (t) => {
  t.match(lostLog({ name: undefined }), /nobody reads the log.*--log-file$/)
  t.equal(lostLog({ name: 'the journal' }), undefined)
})
