/** Which file of settings a process was started with. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isBy, isCalled } from '../../../src/cli/running-by-file.js'

t.test('the file and its name are found in the words of the process, as it is called there', async (t) => {
  const folder = t.testdir({ 'office.yaml': '', 'other.yaml': '' })
  const file = join(folder, 'office.yaml')
  symlinkSync(file, join(folder, 'link.yaml'))
  for (const [words, expected, called] of [
    [['--config', file], true, 'office'],
    [['--config', 'office.yaml'], true, 'office'],
    [['--config=office.yaml', '--dev', 'vpn0'], true, 'office'],
    [['--config', 'link.yaml'], true, 'link'],
    [['--config', 'other.yaml', '--config', file], true, 'office'],
    [['--config', file, '--config', 'other.yaml'], false, 'other'],
    [['--config', 'other.yaml'], false, 'other'],
    [['--config', 'nowhere.yaml'], false, 'nowhere'],
    [['--config'], false, undefined],
    [[file], false, undefined],
  ] as const) {
    const script = 'console.log("there"); setInterval(() => {}, 1000)'
    const child = spawn(process.execPath, ['-e', script, '--', ...words], { cwd: folder })
    await once(child.stdout, 'data')
    t.equal(isBy(Number(child.pid), file), expected, words.join(' '))
    t.same(
      ['office', 'other', 'link', 'nowhere', ''].filter((it) => isCalled(Number(child.pid), it)),
      called === undefined ? [] : [called],
      words.join(' '),
    )
    child.kill('SIGKILL')
    await once(child, 'exit')
    t.equal(isBy(Number(child.pid), file), false, 'it has ended')
    t.equal(isCalled(Number(child.pid), 'office'), false, 'it has ended')
  }
})
