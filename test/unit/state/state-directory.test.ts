import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { StateDirectory } from '../../../src/state/state-directory.js'

const at = (path: string) => new StateDirectory({ STATE_DIRECTORY: path })

t.test('what is written is there for the next run, for nobody else to read', async (t) => {
  const path = join(t.testdir(), 'state')
  t.equal(at(path).read('a.json'), undefined)
  t.ok(at(path).write('a.json', 'one'))
  t.ok(at(path).write('a.json', 'two'))
  t.equal(at(path).read('a.json'), 'two')
  t.equal(statSync(path).mode & 0o777, 0o700)
  t.equal(statSync(join(path, 'a.json')).mode & 0o777, 0o600)
  t.same(readdirSync(path), ['a.json'], 'nothing else is left')
})

t.test('systemd says where, or it is the usual place', async (t) => {
  t.equal(at('/srv/a:/srv/b').path, '/srv/a')
  t.equal(new StateDirectory({}).path, '/var/lib/udptun-fast')
  t.equal(at('').path, '/var/lib/udptun-fast')
})

t.test('where it cannot be, nothing is kept, and nothing fails', async (t) => {
  const folder = t.testdir({ taken: 'text' })
  for (const path of [join(folder, 'taken'), join(folder, 'taken', 'below'), '/proc/nothing']) {
    t.equal(at(path).write('a.json', 'one'), false, path)
    t.equal(at(path).read('a.json'), undefined, path)
  }
  mkdirSync(join(folder, 'state'))
  mkdirSync(join(folder, 'state', 'a.json'))
  t.equal(at(join(folder, 'state')).write('a.json', 'one'), false, 'a folder has that name')
  t.same(readdirSync(join(folder, 'state')), ['a.json'])
})

t.test('a directory that others can write to is not believed', async (t) => {
  const folder = t.testdir({ state: { 'a.json': 'forged' } })
  const path = join(folder, 'state')
  for (const mode of [0o777, 0o775]) {
    chmodSync(path, mode)
    t.equal(at(path).read('a.json'), undefined)
    t.equal(at(path).write('a.json', 'one'), false)
  }
  chmodSync(path, 0o755)
  t.equal(at(path).read('a.json'), 'forged', 'as systemd makes it')
})

t.test('what was begun by a run that was killed is no hindrance', async (t) => {
  const path = join(t.testdir(), 'state')
  mkdirSync(path, { mode: 0o700 })
  writeFileSync(join(path, `.a.json.${process.pid}`), 'half')
  symlinkSync('/nonexistent/b', join(path, 'b.json'))
  t.ok(at(path).write('a.json', 'whole'))
  t.ok(at(path).write('b.json', 'whole'))
  t.equal(at(path).read('a.json'), 'whole')
  t.equal(at(path).read('b.json'), 'whole', 'a link is replaced, not followed')
})

t.test('a file is replaced without blocking, in the same way', async (t) => {
  const folder = t.testdir({ taken: 'text' })
  const path = join(folder, 'state')
  t.equal(await at(path).replace('a.json', 'one'), true)
  t.equal(await at(path).replace('a.json', 'two'), true)
  t.equal(at(path).read('a.json'), 'two')
  t.equal(statSync(join(path, 'a.json')).mode & 0o777, 0o600)
  t.same(readdirSync(path), ['a.json'])
  t.equal(await at(join(folder, 'taken')).replace('a.json', 'one'), false)
  mkdirSync(join(path, 'b.json'))
  t.equal(await at(path).replace('b.json', 'one'), false, 'a folder has that name')
  t.same(readdirSync(path).sort(), ['a.json', 'b.json'], 'and nothing else is left')
})

t.test('a process that is killed while it writes leaves the old text or the new one', async (t) => {
  const path = join(t.testdir(), 'state')
  const script = `
    import { StateDirectory } from ${JSON.stringify(new URL('../../../src/state/state-directory.js', import.meta.url))}
    const state = new StateDirectory({ STATE_DIRECTORY: ${JSON.stringify(path)} })
    for (let number = 0; ; number++) await state.replace('a.json', JSON.stringify({ number, text: 'x'.repeat(100_000) }))
  `
  for (let round = 0; round < 5; round++) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' })
    const ended = new Promise((resolve) => child.once('exit', resolve))
    const before = at(path).read('a.json')
    while (at(path).read('a.json') === before) await sleep(5)
    await sleep(Math.random() * 40)
    child.kill('SIGKILL')
    await ended
    t.equal(JSON.parse(at(path).read('a.json') ?? '').text.length, 100_000)
  }
  t.ok(await at(path).replace('a.json', 'whole'))
  t.same(readdirSync(path), ['a.json'], 'what they have left goes with the next write')
})
