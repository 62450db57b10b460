/**
 * Keys written where they do not belong, by every way there is into the program: no eight characters in a row of one
 * may come out again, on standard output, on standard error with the stack, or in the log of a running tunnel.
 */
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Host } from '../../../src/lab/host.js'
import { PROGRAM, RunningTunnel, run, twoHosts, until } from '../../support/hosts/lab.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'
import { ARGUMENTS, FORMS, runsIn, WG_QUICK, YAML } from '../../support/misplaced-keys.js'

/** Programs at once: what takes the time is the start of node. */
const AT_ONCE = 3

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const next = async () => {
    for (let it = queue.shift(); it !== undefined; it = queue.shift()) await work(it)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, next))
}

interface Way {
  readonly what: string
  /** Whether standard output is to have the key. */
  readonly prints?: boolean
  readonly key: string
  readonly args: readonly string[]
}

/** Runs the program by each way; it must refuse, and in a sentence. */
async function check(t: Test, ways: readonly Way[]): Promise<void> {
  using host = new Host('printed')
  await inParallel(ways, async ({ what, key, args, prints }) => {
    const command = ['UDPTUN_TRACE=1', process.execPath, PROGRAM, ...args]
    const { code, stdout, stderr } = await run(host, '/usr/bin/env', command, 20_000)
    t.same(runsIn(prints ? stderr : stdout + stderr, key), [], `${what}: ${key}`)
    if (args[0] !== 'help' && !prints) t.not(code, 0, `${what}: is refused`)
    t.notMatch(stderr, /Error: .*(Invalid input|undefined)|Warning/, what)
  })
}

/**
 * The unit tests read every such file (test/unit/config/key-file.test.ts). Here one of so many shows that the whole
 * program prints no more than they see.
 */
const SOME = 10

const fresh = () => FORMS.whole(randomBytes(32))

t.test('in arguments', async (t) => {
  const ways = Object.entries(ARGUMENTS).map(([what, argsOf]) => {
    const key = fresh()
    return { what, key, args: argsOf(key) }
  })
  await check(t, ways)
})

for (const [flag, files] of [
  ['--config', YAML],
  ['--wireguard', WG_QUICK],
] as const) {
  t.test(`in a file for ${flag}`, async (t) => {
    const folder = t.testdir({})
    const some = Object.entries(files).filter((_, index) => index % SOME === 0)
    const ways = some.map(([what, fileOf], index) => {
      const key = fresh()
      const path = join(folder, `${index}`)
      writeFileSync(path, fileOf(key), { mode: 0o600 })
      return { what, key, args: ['start', flag, path] }
    })
    await check(t, ways)
  })
}

for (const command of ['up', 'save', 'down', 'strip']) {
  t.test(`in a file for ${command}`, async (t) => {
    const folder = t.testdir({})
    const some = Object.entries(WG_QUICK).filter((_, index) => index % SOME === 0)
    const ways = some.map(([what, fileOf], index) => {
      const key = fresh()
      const path = join(folder, `wg${index}.conf`)
      writeFileSync(path, fileOf(key), { mode: 0o600 })
      const flags = command === 'up' ? ['--foreground'] : []
      // What strip is for is to print keys.
      return { what, key, args: [command, ...flags, path], prints: command === 'strip' }
    })
    t.ok(ways.length >= 2)
    await check(t, ways)
  })
}

t.test('in the file that a running tunnel reads again', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const [own, other] = [keys.make('a'), keys.make('b')]
  const path = join(t.testdir({}), 'tunnel.yaml')
  const good = `local: [10.9.0.1]\nprivate_key_file: ${own.file}\nlog_level: debug\npeers:\n  - {endpoint: ${pair.underlay.b}, public_key: "${other.publicKey}"}\n`
  writeFileSync(path, good)
  const tunnel = new RunningTunnel(pair.a, ['--config', path], [], {
    env: { ...process.env, UDPTUN_TRACE: '1' },
  })
  await tunnel.said(/ is up: /)
  const add = (line: string) => (key: string) => `${good}${line.replace('KEY', key)}\n`
  const ways = {
    ...YAML,
    'as a peer more': add('  - KEY'),
    'as a preshared key file of a peer more': add('  - {endpoint: c, preshared_key_file: KEY}'),
    'as a name of a peer more': add('  - {endpoint: 192.0.2.9, name: KEY}'),
  }
  const all: string[] = []
  let refused = 0
  for (const fileOf of Object.values(ways)) {
    const key = fresh()
    all.push(key)
    writeFileSync(path, fileOf(key))
    tunnel.child.kill('SIGHUP')
    refused++
    await until('it says what is wrong', () => notReloaded(tunnel) === refused)
  }
  const [key] = all
  writeFileSync(path, YAML.bare(key))
  const asked = await run(pair.a, process.execPath, [PROGRAM, 'reload'])
  t.equal(asked.code, 1)
  t.match(asked.stderr, /private_key_file: /)
  const { stdout, stderr } = await tunnel.stop()
  for (const it of all) t.same(runsIn(stdout + stderr + asked.stdout + asked.stderr, it), [])
})

const notReloaded = ({ log }: RunningTunnel) =>
  log.filter(({ msg }) => String(msg).startsWith('not reloaded')).length
