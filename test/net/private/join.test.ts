/** Real hosts that become members of a network by the line of an invitation. */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { MemberReport } from '../../../src/control/members/report.js'
import type { Host } from '../../../src/lab/host.js'
import {
  ok,
  PROGRAM,
  type RunningTunnel,
  run,
  startTunnel,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import { Network } from '../../support/hosts/network.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'

const program = (host: Host, ...args: string[]) => run(host, process.execPath, [PROGRAM, ...args])

/** A file of settings of an introducer that knows nobody. */
function hubFile(keys: KeyFolder, network: Network, mode: 'tap' | 'tun'): string {
  const { file } = keys.make('hub')
  return keys.write(
    'office.yaml',
    [
      `mode: ${mode}`,
      `local: [${network.overlay(0)}/24]`,
      `private_key_file: ${file}`,
      'introduce: true',
    ].join('\n'),
  )
}

async function invite(host: Host, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await program(host, 'invite', ...args)
  if (code !== 0) throw new Error(stderr)
  return stdout.trim()
}

async function members(host: Host): Promise<MemberReport[]> {
  return JSON.parse(await ok(host, process.execPath, PROGRAM, 'members'))
}

for (const mode of ['tun', 'tap'] as const)
  t.test(`invite, join, and everybody speaks with everybody: ${mode}`, async (t) => {
    using keys = new KeyFolder()
    using network = new Network(3)
    const [hubHost, alice, bob] = network.hosts
    const file = hubFile(keys, network, mode)
    const hub = await startTunnel(hubHost, '--config', file)
    const running: RunningTunnel[] = []
    for (const [host, name, address] of [
      [alice, 'alice', '10.9.0.2'],
      [bob, 'bob', '10.9.0.3'],
    ] as const) {
      const line = await invite(hubHost, name)
      t.match(line, /^udptun\.[\w-]+$/)
      const directory = join(keys.path, name)
      const { code, stdout, stderr } = await program(host, 'join', line, '--directory', directory)
      t.equal(code, 0, stderr)
      t.match(stderr, /other users of this host may have seen the line/)
      t.match(stdout, new RegExp(`This host is ${name}, a member of office`))
      const settings = join(directory, 'office.yaml')
      for (const it of [settings, join(directory, 'office.key'), join(directory, 'office.psk')])
        t.equal(statSync(it).mode & 0o777, 0o600, it)
      t.match(readFileSync(settings, 'utf8'), `local: ["${address}/24"]`)
      running.push(await startTunnel(host, '--config', settings))
    }
    await untilPing(alice, '10.9.0.1')
    await untilPing(alice, '10.9.0.3')
    await untilPing(bob, '10.9.0.2')
    await until('they speak directly', async () => {
      const { peers } = await running[0].status('office')
      return peers.some((it) => it.name === 'bob' && it.source === 'introduction' && it.state === 'up')
    })
    const all = await members(hubHost)
    t.match(
      all.map(({ name, source, way, addresses }) => ({ name, source, way, addresses })),
      [
        { name: 'alice', source: 'member', way: 'direct', addresses: ['10.9.0.2'] },
        { name: 'bob', source: 'member', way: 'direct', addresses: ['10.9.0.3'] },
      ],
    )
    await Promise.all([hub, ...running].map((it) => it.stop()))
  })
