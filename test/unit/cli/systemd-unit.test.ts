/** What is asked of systemctl, by a program of that name which only writes down what it is asked. */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startUnit } from '../../../src/cli/systemd-unit.js'

const UNIT = 'udptun-fast@office.service'

/** @param script what it does for each command, for sh(1) */
function fakeSystemctl(t: Test, script = ''): () => string {
  const folder = t.testdir()
  const asked = join(folder, 'asked')
  const program = join(folder, 'systemctl')
  writeFileSync(program, `#!/bin/sh\necho "$@" >> ${asked}\n${script}\n`)
  chmodSync(program, 0o755)
  const before = process.env.PATH
  process.env.PATH = `${folder}:${before}`
  t.teardown(() => {
    process.env.PATH = before
  })
  return () => readFileSync(asked, 'utf8')
}

t.test('a unit starts at each boot, and begins again if it runs', async (t) => {
  const asked = fakeSystemctl(t)
  t.equal(await startUnit(UNIT), undefined)
  t.equal(asked(), `enable --quiet ${UNIT}\nrestart ${UNIT}\n`)
})

t.test('what systemctl says last is told, and not where to look', async (t) => {
  fakeSystemctl(
    t,
    `echo 'Created symlink /etc/systemd/system/multi-user.target.wants/${UNIT}' >&2
[ "$1" = enable ] && exit 0
echo 'Job for ${UNIT} failed because the control process exited with error code.' >&2
echo 'See "systemctl status ${UNIT}" and "journalctl -xeu ${UNIT}" for details.' >&2
exit 1`,
  )
  t.equal(await startUnit(UNIT), `Job for ${UNIT} failed because the control process exited with error code.`)
})

t.test('a unit that cannot be enabled is not started', async (t) => {
  const asked = fakeSystemctl(t, "echo 'Failed to enable unit: Access denied' >&2; exit 1")
  t.equal(await startUnit(UNIT), 'Failed to enable unit: Access denied')
  t.equal(asked(), `enable --quiet ${UNIT}\n`)
})

t.test('a systemctl that says nothing', async (t) => {
  fakeSystemctl(t, 'exit 1')
  t.match(await startUnit(UNIT), /systemctl enable .*\.service$/)
})
