/** Real peers with names in /etc/hosts. The tunnel sees a file of the test's there, which is mounted. */
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ok, RunningTunnel, twoHosts, until } from '../../support/hosts/lab.js'
import { inMountNamespace } from '../../support/hosts/names.js'

const FILE = '127.0.0.1\tlocalhost\n'

t.test(
  'peers have names while the tunnel is up, and after a kill the next start takes them back',
  async (t) => {
    using pair = twoHosts()
    const folder = t.testdir({ hosts: FILE })
    const hosts = join(folder, 'hosts')
    const config = join(folder, 'tunnel.yaml')
    const peers = (...names: string[]) =>
      writeFileSync(
        config,
        [
          'local: [10.9.0.1]',
          'hosts: office.internal',
          'peers:',
          ...names.map(
            (name, at) =>
              `  - {name: ${name}, endpoint: 198.51.100.${2 + at}, addresses: [10.9.0.${2 + at}]}`,
          ),
        ].join('\n'),
      )
    const start = async () => {
      const launch = inMountNamespace(`mount --bind ${hosts} /etc/hosts`)
      const tunnel = new RunningTunnel(pair.a, ['--config', config], [], launch)
      await tunnel.said(/ is up: /)
      return tunnel
    }
    const names = (): string[] =>
      readFileSync(hosts, 'utf8')
        .split('\n')
        .flatMap((line) => /^[^#].*\t(.*\.office\.internal)$/.exec(line)?.[1] ?? [])
    peers('alice', 'a.b')
    const first = await start()
    t.same(names(), ['alice.office.internal'], readFileSync(hosts, 'utf8'))
    await first.said(/"a\.b" has no name in \/etc\/hosts/)
    const asked = ['-t', `${first.pid}`, '-m', 'getent', 'hosts', 'alice.office.internal']
    t.match(await ok(pair.a, 'nsenter', ...asked), /^10\.9\.0\.2\s/)
    peers('alice', 'bob')
    process.kill(first.pid, 'SIGHUP')
    await until('bob has a name', () => names().includes('bob.office.internal'))
    process.kill(first.pid, 'SIGKILL')
    await once(first.child, 'exit')
    t.equal(names().length, 2, 'a kill leaves them')
    peers('carol')
    const second = await start()
    t.same(names(), ['carol.office.internal'])
    await second.stop()
    t.equal(readFileSync(hosts, 'utf8'), FILE)
  },
)
