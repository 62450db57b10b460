import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { isJournal, journalLine } from '../../../src/cli/journal.js'

t.test('the journal is known by the device and inode of its stream', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'udptun-journal-'))
  const fd = openSync(join(folder, 'stream'), 'w')
  const { dev, ino } = fstatSync(fd)
  t.ok(isJournal(fd, { JOURNAL_STREAM: `${dev}:${ino}` }))
  t.notOk(isJournal(fd, { JOURNAL_STREAM: `${dev}:${ino + 1}` }), 'redirected since')
  t.notOk(isJournal(fd, {}))
  closeSync(fd)
  t.notOk(isJournal(999_999, { JOURNAL_STREAM: `${dev}:${ino}` }), 'closed')
  rmSync(folder, { recursive: true })
})

t.test('each line has its priority', async (t) => {
  const line = (level: number, msg: string) => `${JSON.stringify({ level, msg })}\n`
  for (const [level, priority] of [
    [10, 7],
    [20, 7],
    [30, 6],
    [40, 4],
    [50, 3],
    [60, 2],
  ])
    t.equal(journalLine(line(level, 'said'), false), `<${priority}>said\n`)
  t.equal(journalLine(line(20, 'a stack\n  at b\n'), false), '<7>a stack\n<7>  at b\n')
  t.equal(journalLine(line(40, 'said'), true), '<4>{"level":40,"msg":"said"}\n')
})
