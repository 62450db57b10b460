/** The package for Debian, in a Debian with its own Node.js. */
import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { until } from '../support/hosts/lab.js'
import { debianRoot } from '../support/service/debian.js'
import { CHECKOUT, CHECKOUT_INSIDE, Machine } from '../support/service/machine.js'

const WITHIN_MS = 60_000

const env = { ...process.env, DEBFULLNAME: 'A Packager', DEBEMAIL: 'packager@debian.org', NODE_OPTIONS: '' }
const built = execFileSync(process.execPath, ['dist/packaging/deb/build.js'], {
  cwd: CHECKOUT,
  env,
  encoding: 'utf8',
})
const DEB = built.trim()

t.test('lintian finds no error and no warning', async (t) => {
  const { status, stdout } = spawnSync('lintian', ['--fail-on', 'error,warning', join(CHECKOUT, DEB)], {
    encoding: 'utf8',
  })
  t.equal(stdout, '')
  t.equal(status, 0)
})

t.test('it holds what runs and nothing else', async (t) => {
  const listed = execFileSync('dpkg-deb', ['--contents', join(CHECKOUT, DEB)], { encoding: 'utf8' })
  t.match(listed, /-rwxr-xr-x root\/root .* \.\/usr\/lib\/udptun-fast\/dist\/program\/cli\/main\.js$/m)
  t.notMatch(listed, /\.map$|\.d\.ts$|\.cc$|\/test\/|musl|\/usr\/bin\/node$/m)
})

const machine = await Machine.boot(debianRoot())
t.teardown(() => machine[Symbol.asyncDispose]())
const unit = (name: string) => `udptun-fast@${name}`

t.test("Debian's Node.js has its OpenSSL in a shared library", async (t) => {
  const [version, shared] = (
    await machine.ok('node', '-p', 'process.version + " " + process.config.variables.node_shared_openssl')
  ).split(/\s/)
  t.match(version, /^v2\d\./)
  t.equal(shared, 'true')
})

t.test('it is installed, and nothing starts', async (t) => {
  await machine.ok('dpkg', '--install', `${CHECKOUT_INSIDE}/${DEB}`)
  t.match(await machine.ok('udptun-fast', '--version'), /^\d+\.\d+\.\d+\n$/)
  t.equal((await machine.ok('stat', '-c', '%a', '/etc/udptun-fast')).trim(), '700')
  t.notMatch(
    await machine.ok('systemctl', 'list-units', '--all', '--plain', 'udptun-fast@*'),
    /udptun-fast@\w/,
  )
  const { code, stdout } = await machine.run('systemd-analyze', 'verify', `${unit('x')}.service`)
  t.equal(code, 0, `systemd finds nothing wrong with the unit${stdout}`)
})

t.test('two private tunnels by its unit find each other', async (t) => {
  for (const name of ['a', 'b'])
    await machine.ok('sh', '-c', 'umask 077; udptun-fast keygen > "/etc/udptun-fast/$1.key"', 'sh', name)
  const key = async (name: string) =>
    (await machine.ok('sh', '-c', 'udptun-fast pubkey < "/etc/udptun-fast/$1.key"', 'sh', name)).trim()
  for (const [index, [name, other]] of [
    ['a', 'b'],
    ['b', 'a'],
  ].entries())
    await machine.write(
      `/etc/udptun-fast/${name}.yaml`,
      `local: [10.9.${index}.1/24]
dev: tap-${name}
listen: 127.0.0.1:${7001 + index}
warm_up: off
private_key_file: /etc/udptun-fast/${name}.key
peers:
  - {name: ${other}, endpoint: "127.0.0.1:${7002 - index}", public_key: "${await key(other)}"}
`,
      '0600',
    )
  await machine.ok('systemctl', 'enable', '--now', unit('a'), unit('b'))
  for (const name of ['a', 'b'])
    await until(
      'the peer is up',
      async () => (await machine.property(unit(name), 'StatusText')) === `tap-${name}: 1 of 1 peer up`,
      WITHIN_MS,
    )
  const { privacy, drops } = JSON.parse(await machine.ok('udptun-fast', 'status', 'tap-a'))
  t.match(privacy.crypto, /EVP/, "Debian's OpenSSL seals, on the workers")
  t.equal(drops.not_authentic, 0)
})

t.test(
  'an upgrade goes on with the tunnels that run, and keeps what the administrator has set',
  async (t) => {
    await machine.write('/etc/default/udptun-fast', 'UDPTUN_OPTIONS="--log-level debug"\n')
    const before = await machine.property(unit('a'), 'InvocationID')
    await machine.ok('dpkg', '--install', '--force-confold', `${CHECKOUT_INSIDE}/${DEB}`)
    t.equal(await machine.property(unit('a'), 'ActiveState'), 'active')
    t.not(await machine.property(unit('a'), 'InvocationID'), before)
    t.equal(await machine.ok('cat', '/etc/default/udptun-fast'), 'UDPTUN_OPTIONS="--log-level debug"\n')
    const pid = await machine.property(unit('a'), 'MainPID')
    t.match(await machine.ok('cat', `/proc/${pid}/cmdline`), /--log-level\0debug/)
  },
)

t.test('a removal ends the tunnels, and a purge leaves only settings and keys', async (t) => {
  await machine.ok('dpkg', '--remove', 'udptun-fast')
  t.notMatch(await machine.ok('ip', '-br', 'link'), /tap/)
  t.equal((await machine.run('test', '-e', '/etc/default/udptun-fast')).code, 0, 'the settings stay')
  await machine.ok('dpkg', '--purge', 'udptun-fast')
  const left = await machine.ok('find', '/etc', '/usr', '/var', '/run', '/lib/systemd', '-name', '*udptun*')
  t.same(
    left.split('\n').filter((path) => path !== '' && !path.startsWith('/var/lib/dpkg/')),
    ['/etc/udptun-fast'],
  )
  t.equal(await machine.ok('ls', '/etc/udptun-fast'), 'a.key\na.yaml\nb.key\nb.yaml\n')
})
