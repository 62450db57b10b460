import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runProgram } from '../../../src/host/program.js'

/** Runs a program that has this text. */
async function runText(t: Test, text: string, input = '') {
  const file = join(t.testdir({ program: `#!/bin/sh\n${text}\n` }), 'program')
  chmodSync(file, 0o755)
  const startedMs = performance.now()
  const ended = await runProgram(file, [], input)
  return { ended, ms: performance.now() - startedMs }
}

t.test('how a program has ended, and what it has said', async (t) => {
  const { ended } = await runText(t, 'cat >&2', 'one\ntwo\n')
  t.same(ended, { ok: true, said: 'two', warned: 'one; two' })
  t.same((await runText(t, 'true', 'not read')).ended, {
    ok: true,
    said: 'it ended with 0',
    warned: undefined,
  })
  t.same((await runText(t, 'echo no >&2; exit 3')).ended, { ok: false, said: 'no', warned: undefined })
  t.match((await runText(t, 'kill -9 $$')).ended, { ok: false, said: 'it ended with SIGKILL' })
})

t.test('what a program leaves running is not waited for', async (t) => {
  const { ended, ms } = await runText(t, 'sleep 25 &\necho $! >&2\nexit 0')
  t.match(ended, { ok: true, said: /^\d+$/ })
  t.ok(ms < 2_000, `${Math.round(ms)} ms`)
  process.kill(Number(ended?.said))
})
