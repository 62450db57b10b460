/** Which file of settings a process was started with. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isBy } from '../../../src/cli/running-by-file.js'

t.test('the file is found in the words of the process, as it is called there', async (t) => {
  const folder = t.testdir({ 'office.yaml': '', 'other.yaml': '' })
  const file = join(folder, 'office.yaml')
  symlinkSync(file, join(folder, 'link.yaml'))
  for (const [words, expected] of [
    [['--config', file], true],
    [['--config', 'office.yaml'], true],
    [['--config=office.yaml', '--dev', 'vpn0'], true],
    [['--config', 'link.yaml'], true],
    [['--config', 'other.yaml', '--config', file], true],
    [['--config', file, '--config', 'other.yaml'], false],
    [['--config', 'other.yaml'], false],
    [['--config', 'nowhere.yaml'], false],
    [['--config'], false],
    [[file], false],
  ] as const) {
    const script = 'console.log("there"); setInterval(() => {}, 1000)'
    const child = spawn(process.execPath, ['-e', script, '--', ...words], { cwd: folder })
    await once(child.stdout, 'data')
    t.equal(isBy(Number(child.pid), file), expected, words.join(' '))
    child.kill('SIGKILL')
    await once(child, 'exit')
    t.equal(isBy(Number(child.pid), file), false, 'it has ended')
  }
})
