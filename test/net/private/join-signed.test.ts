/** Real hosts that are invited to a network with a network key: others are told of them when their records are signed. */
import { join } from 'node:path'
import t from 'tap'
import { makeNetworkKey } from '../../../src/config/network-key.js'
import { type RunningTunnel, run, startTunnel, until, untilPing } from '../../support/hosts/lab.js'
import { Network } from '../../support/hosts/network.js'
import { hubFile, invite, members, program } from '../../support/hosts/office.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'
import { PROGRAM } from '../../support/program.js'

t.test('an invited member is introduced when its record is signed, also after a restart', async (t) => {
  using keys = new KeyFolder()
  using network = new Network(3)
  const [hubHost, alice, bob] = network.hosts
  const keyFile = join(keys.path, 'network.key')
  const publicPart = makeNetworkKey(keyFile)
  const file = hubFile(keys, network, 'tun', [`network_key: ${publicPart}`])
  let hub = await startTunnel(hubHost, '--config', file)
  t.match((await program(hubHost, 'invite', 'alice')).stderr, /alice has joined, it waits for a signature/)
  const running: RunningTunnel[] = []
  for (const [host, name] of [
    [alice, 'alice'],
    [bob, 'bob'],
  ] as const) {
    const line = await invite(hubHost, name)
    const joined = await program(host, 'join', line, '--directory', join(keys.path, name))
    t.equal(joined.code, 0, joined.stderr)
    running.push(await startTunnel(host, '--config', join(keys.path, name, 'office.yaml')))
  }
  await untilPing(alice, '10.9.0.1')
  await untilPing(bob, '10.9.0.1')
  t.same(
    (await members(hubHost)).map(({ name, signed }) => [name, signed]),
    [
      ['alice', false],
      ['bob', false],
    ],
  )
  const knowsBob = async () => (await running[0].status('office')).peers.some(({ name }) => name === 'bob')
  t.equal(await knowsBob(), false, 'nobody is told of him yet')

  const { stdout } = await program(hubHost, 'members', '--unsigned')
  const commands = stdout.trim().split('\n')
  t.equal(commands.length, 2)
  const records: string[] = []
  for (const command of commands) {
    // As a person does it, on the computer with the key.
    const [, ...words] = command.replace('network.key', keyFile).split(' ')
    const { code, stdout, stderr } = await program(bob, ...words)
    t.equal(code, 0, stderr)
    records.push(stdout.trim())
  }
  const wrong = await program(hubHost, 'network', 'add', `${records[0].slice(0, -8)}AAAAAAA=`)
  t.not(wrong.code, 0)
  for (const record of records) {
    const { code, stdout, stderr } = await program(hubHost, 'network', 'add', record)
    t.equal(code, 0, stderr)
    t.match(stdout, /is kept, and the other members are told/)
  }
  await untilPing(alice, '10.9.0.3')
  await until('she knows him', knowsBob)
  t.equal((await program(hubHost, 'members', '--unsigned')).stdout, '')
  const { stdout: words } = await run(hubHost, process.execPath, [PROGRAM, 'complete', '--', 'remove', ''])
  t.match(words, /^alice\t/m, 'members are completed')

  await hub.stop()
  hub = await startTunnel(hubHost, '--config', file)
  t.ok(
    (await members(hubHost)).every(({ signed }) => signed),
    'the introducer keeps the records',
  )
  await Promise.all([hub, ...running].map((it) => it.stop()))
})
