import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type HookOptions, runHooks } from '../../../src/host/hooks.js'

function collecting(options: Partial<HookOptions> = {}) {
  const said: string[] = []
  const { signal } = new AbortController()
  return {
    said,
    options: {
      name: 'PostUp',
      device: 'wg0',
      directory: process.cwd(),
      signal,
      say: (line: string) => void said.push(line),
      ...options,
    },
  }
}

t.test('commands run in their order, each is said before its output, and %i is the device', async (t) => {
  const { said, options } = collecting({ device: 'a$&b' })
  await runHooks(["echo 'one %i'", "echo '%i %i'; cd /; x=1", 'pwd; echo "$x."; printf tail'], options)
  t.same(said, [
    "[#] echo 'one a$&b'",
    'one a$&b',
    "[#] echo 'a$&b a$&b'; cd /; x=1",
    'a$&b a$&b',
    '[#] pwd; echo "$x."; printf tail',
    process.cwd(),
    '.',
    'tail',
  ])
})

t.test('they are run in the directory, or in / if it is gone', async (t) => {
  const directory = t.testdir({ file: '' })
  for (const [given, where] of [
    [directory, directory],
    [join(directory, 'gone'), '/'],
    [join(directory, 'file'), '/'],
  ] as const) {
    const { said, options } = collecting({ directory: given })
    await runHooks(['pwd'], options)
    t.same(said, ['[#] pwd', where])
  }
})

t.test('the first that fails ends it, with its exit code or its signal', async (t) => {
  for (const [command, how] of [
    ['false', 'exit code 1'],
    ['exit 7', 'exit code 7'],
    ['false; true', 'exit code 1'],
    ['false | cat', 'exit code 1'],
    ['kill -9 $$', 'SIGKILL'],
    ['no-such-program', 'exit code 127'],
  ]) {
    const { said, options } = collecting()
    await t.rejects(runHooks([command, 'echo never'], options), {
      name: 'UserError',
      exitCode: 1,
      message: `PostUp has failed (${how}): ${command}`,
    })
    t.notMatch(said.join('\n'), /never/)
  }
})

t.test('the event loop goes on meanwhile, and an abort ends the command that runs', async (t) => {
  const abort = new AbortController()
  const { said, options } = collecting({ signal: abort.signal })
  let turns = 0
  const timer = setInterval(() => {
    turns++
    if (said.includes('ready') && turns > 3) abort.abort()
  }, 10)
  await t.rejects(runHooks(['echo ready; sleep 1001; true', 'echo never'], options), {
    message: /SIGTERM|exit code 143/,
  })
  clearInterval(timer)
  t.not(spawnSync('pgrep', ['-f', '^sleep 1001$']).status, 0, 'nothing of it is left')
  t.ok(turns > 3)
  await t.rejects(runHooks(['echo never'], options), {
    message: /^PostUp was interrupted before: echo never$/,
  })
  t.notMatch(said.join('\n'), /\nnever/)
})

t.test('a program that a command leaves running is not waited for', async (t) => {
  const { said, options } = collecting()
  const mark = join(t.testdir({}), 'ended')
  await runHooks([`(sleep 2; touch ${mark}) & echo begun`], options)
  t.notOk(existsSync(mark))
  t.same(said.at(-1), 'begun')
})

t.test('sh does it where there is no bash', async (t) => {
  const bin = join(t.testdir({}), 'bin')
  mkdirSync(bin)
  const before = process.env.PATH
  t.teardown(() => {
    process.env.PATH = before
  })
  process.env.PATH = bin
  const none = collecting()
  await t.rejects(runHooks(['true'], none.options), {
    message: 'PostUp has failed (there is neither bash nor sh): true',
  })
  symlinkSync('/bin/sh', join(bin, 'sh'))
  const { said, options } = collecting()
  await runHooks(['echo "$0 %i"'], options)
  t.match(said.at(-1), / wg0$/)
  await t.rejects(runHooks(['false; true'], options), { message: /exit code 1/ })
})
