/** The package of npm, as `npm i -g` installs it, under the Node.js versions that it is for. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { RunningTunnel, run, twoHosts, untilPing } from '../support/hosts/lab.js'
import { CHECKOUT } from '../support/service/machine.js'

/** The oldest that package.json allows, and the newest with long-term support. */
const VERSIONS = ['20.4.0', '24', '26']

const folder = mkdtempSync(join(tmpdir(), 'udptun-fast-npm-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

// Nothing of tap.
const { NODE_OPTIONS: _, ...env } = process.env
const npm = (...args: string[]) =>
  execFileSync('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: CHECKOUT,
    env,
    encoding: 'utf8',
  })

const packed = npm('pack', '--ignore-scripts', '--pack-destination', folder).trim().split('\n').at(-1) ?? ''
npm('install', '--global', '--prefix', join(folder, 'prefix'), join(folder, packed))
const INSTALLED = join(folder, 'prefix/lib/node_modules/udptun-fast')
const COMMAND = join(folder, 'prefix/bin/udptun-fast')

t.test('what is installed has the unit, and no development packages', async (t) => {
  t.ok(existsSync(join(INSTALLED, 'packaging/systemd/udptun-fast@.service')))
  t.notOk(existsSync(join(INSTALLED, 'node_modules/typescript')))
  const { engines, cpu, libc } = JSON.parse(readFileSync(join(INSTALLED, 'package.json'), 'utf8'))
  t.equal(engines.node, '>=20.4', `so that ${VERSIONS[0]} is the oldest`)
  t.same(
    [cpu, libc],
    [
      ['x64', 'arm64'],
      ['glibc', 'musl'],
    ],
  )
})

for (const version of VERSIONS) {
  t.test(`it runs under Node.js ${version}`, async (t) => {
    const prefix = join(folder, version)
    npm('install', '--prefix', prefix, `node-linux-${process.arch}@${version}`)
    const node = join(prefix, `node_modules/node-linux-${process.arch}/bin/node`)
    t.match(execFileSync(node, ['--version'], { encoding: 'utf8' }), new RegExp(`^v${version}\\b`))
    using pair = twoHosts()
    const keys = ['a', 'b'].map((name) => {
      const file = join(prefix, `${name}.key`)
      execFileSync('sh', ['-c', 'umask 077; "$1" "$2" keygen > "$3"', 'sh', node, COMMAND, file])
      const publicKey = execFileSync(node, [COMMAND, 'pubkey'], {
        input: readFileSync(file),
        encoding: 'utf8',
      })
      return { file, publicKey: publicKey.trim() }
    })
    const start = (host: typeof pair.a, local: string, remote: string, own: number) => {
      const flags = ['--private-key-file', keys[own].file, '--peer-key', keys[1 - own].publicKey]
      return new RunningTunnel(host, [local, remote, ...flags], [], { command: [node, COMMAND] })
    }
    const a = start(pair.a, '10.9.0.1', pair.underlay.b, 0)
    const b = start(pair.b, '10.9.0.2', pair.underlay.a, 1)
    await a.said(/is up/)
    await b.said(/is up/)
    await untilPing(pair.a, '10.9.0.2', 30_000)
    const { stdout } = await run(pair.a, node, [COMMAND, 'status'])
    t.match(JSON.parse(stdout), { device: 'tap0', faults: { count: 0 } })
    for (const tunnel of [a, b]) t.match(await tunnel.stop(), { code: 0, stderr: '' })
  })
}
