/** Both sides of an invitation are killed at every write, and the same line makes the same member. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Host } from '../../../src/lab/host.js'
import { ok, PROGRAM, RunningTunnel, run, startTunnel, untilPing } from '../../support/hosts/lab.js'
import { Network } from '../../support/hosts/network.js'
import { invite, members, office, program } from '../../support/hosts/office.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'

const KILLED = fileURLToPath(new URL('../../support/killed-at.js', import.meta.url))

/** Starts a program that kills itself at a step of what it writes to paths with this part. */
async function killedAt(host: Host, step: string, part: string, args: readonly string[]) {
  const node = [
    '-u',
    'NODE_OPTIONS',
    `KILL_AT=${step}`,
    `KILL_PATH=${part}`,
    process.execPath,
    '--import',
    KILLED,
  ]
  return run(host, '/usr/bin/env', [...node, PROGRAM, ...args])
}

t.test('join is killed at every write, and the same line makes the same member', async (t) => {
  using keys = new KeyFolder()
  using network = new Network(2)
  const [hubHost, alice] = network.hosts
  const { hub } = await office(network, keys, [])
  const line = await invite(hubHost, 'alice')
  const directory = join(keys.path, 'alice')
  let step = 1
  let key: string | undefined
  for (; step < 60; step++) {
    const { code, stderr } = await killedAt(alice, `${step} before`, directory, [
      'join',
      line,
      '--directory',
      directory,
    ])
    const now = existsSync(join(directory, 'office.key'))
      ? readFileSync(join(directory, 'office.key'), 'utf8')
      : undefined
    if (key !== undefined && now !== key) t.fail(`another key after step ${step}`)
    key = now
    const settings = join(directory, 'office.yaml')
    if (existsSync(settings) && !readFileSync(settings, 'utf8').endsWith('introducer: true\n'))
      t.fail('half of it')
    if (code === 0) break
    if (stderr.split('\n').length > 2) t.fail(stderr)
  }
  t.ok(step > 10, `${step - 1} kills`)
  t.equal((await members(hubHost)).length, 1)
  t.same(
    readdirSync(directory).sort(),
    ['office.key', 'office.psk', 'office.yaml'],
    'and nothing else is left',
  )
  const tunnel = await startTunnel(alice, '--config', join(directory, 'office.yaml'))
  await untilPing(alice, '10.9.0.1')
  await Promise.all([hub, tunnel].map((it) => it.stop()))
})

t.test(
  'join is killed at every write into settings that a person has changed, and nothing is lost',
  async (t) => {
    using keys = new KeyFolder()
    using network = new Network(2)
    const [hubHost, alice] = network.hosts
    const { hub } = await office(network, keys, [])
    const directory = join(keys.path, 'alice')
    const read = (name: string) => readFileSync(join(directory, name), 'utf8')
    const first = await program(alice, 'join', await invite(hubHost, 'alice'), '--directory', directory)
    t.equal(first.code, 0, first.stderr)
    const edited = `${read('office.yaml')}mtu: 1300\n`
    writeFileSync(join(directory, 'office.yaml'), edited)
    await ok(hubHost, process.execPath, PROGRAM, 'remove', 'alice')
    const line = await invite(hubHost, 'alicia', '--address', '10.9.0.44')
    let step = 1
    for (; step < 60; step++) {
      const { code } = await killedAt(alice, `${step} before`, directory, [
        'join',
        line,
        '--directory',
        directory,
      ])
      if (!read('office.yaml').endsWith('\nmtu: 1300\n')) t.fail(`lost at step ${step}`)
      if (read('office.yaml') !== edited && read('office.yaml.old') !== edited)
        t.fail(`not kept at step ${step}`)
      if (code === 0) break
    }
    t.ok(step > 10, `${step - 1} kills`)
    t.same(readdirSync(directory).sort(), ['office.key', 'office.psk', 'office.yaml', 'office.yaml.old'])
    t.match(read('office.yaml'), '10.9.0.44/24')
    const tunnel = await startTunnel(alice, '--config', join(directory, 'office.yaml'))
    await untilPing(alice, '10.9.0.1')
    await Promise.all([hub, tunnel].map((it) => it.stop()))
  },
)

t.test('the introducer is killed at every write, and the same line makes the same member', async (t) => {
  using keys = new KeyFolder()
  using network = new Network(2)
  const [hubHost, alice] = network.hosts
  const { file, hub } = await office(network, keys, [])
  let running = hub
  // It opens a file, writes, synchronises and closes it, and renames it.
  const steps = ['1 before', '2 before', '3 before', '4 before', '5 before', '5 after']
  for (const [at, step] of steps.entries()) {
    const name = `m${at}`
    const line = await invite(hubHost, name)
    await running.stop('SIGKILL')
    const killing = new RunningTunnel(hubHost, ['--config', file, '--warm-up', 'off'], [], {
      command: [
        '/usr/bin/env',
        `KILL_AT=${step}`,
        'KILL_PATH=members-',
        process.execPath,
        '--import',
        KILLED,
        PROGRAM,
      ],
    })
    await killing.said(/ is up: /)
    const joining = program(alice, 'join', line, '--directory', join(keys.path, name))
    await killing.ended
    running = await startTunnel(hubHost, '--config', file)
    const { code, stderr } = await joining
    t.equal(code, 0, `killed ${step}: ${stderr}`)
    const all = await members(hubHost)
    t.equal(all.length, at + 1)
    t.equal(all.filter((it) => it.name === name).length, 1)
  }
  await running.stop()
})
