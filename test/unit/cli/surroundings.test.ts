import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { explainLimits, requireRereadable } from '../../../src/cli/surroundings.js'
import { UserError } from '../../../src/errors.js'

t.test('a tunnel that runs reads only regular files again', async (t) => {
  const folder = t.testdir({ 'a.yaml': 'remote: b' })
  const fifo = join(folder, 'fifo')
  execFileSync('mkfifo', [fifo])
  requireRereadable(join(folder, 'a.yaml'))
  requireRereadable(join(folder, 'absent'))
  for (const path of [fifo, folder, '/dev/zero'])
    t.throws(
      () => requireRereadable(path),
      new UserError(
        `${path} is not a regular file, so it can be read only at the start; for a reload, use a regular file`,
      ),
    )
})

t.test('a worker that cannot start for want of threads is explained', async (t) => {
  const error = Object.assign(new Error('EAGAIN'), { code: 'ERR_WORKER_INIT_FAILED' })
  t.match(explainLimits(error), { exitCode: 1, message: /^no more threads can be started \(EAGAIN\)/ })
  const other = new Error('EAGAIN')
  t.equal(explainLimits(other), other)
})
