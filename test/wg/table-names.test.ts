/** `Table = name` means the table that real ip(8) and wg-quick(8) mean, in files and flags. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ok, RunningTunnel, run, twoHosts } from '../support/hosts/lab.js'
import { inMountNamespace } from '../support/hosts/names.js'
import { KeyFolder } from '../support/hosts/wireguard-go.js'

t.test('routes go into the table with that name', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const names = join(keys.path, 'iproute2')
  mkdirSync(join(names, 'rt_tables.d'), { recursive: true })
  writeFileSync(join(names, 'rt_tables'), '255 local\n254 main\n4711 office # ours\n0x1268 hex\n')
  writeFileSync(join(names, 'rt_tables.d', 'more.conf'), '4713 branch\n')
  writeFileSync(join(names, 'rt_tables.d', 'more.txt'), '4714 text\n')
  /** Makes a mount namespace in which only these names are known. */
  const named = `mount --bind '${names}' /etc/iproute2`
  const light = ['--warm-up', 'off', '--datapath', 'workers']
  const [own, other] = [keys.make('own'), keys.make('other')]
  const conf = (name: string, table: string) =>
    keys.write(
      `${name}.conf`,
      `[Interface]\nPrivateKey = ${readFileSync(own.file, 'utf8').trim()}\nAddress = 10.66.0.2/32\nTable = ${table}\n[Peer]\nPublicKey = ${other.publicKey}\nAllowedIPs = 10.74.0.0/24\n`,
    )
  /** The numbers of all tables with a route to the peer. */
  const tables = async (host = pair.a) => {
    const routes: { dst: string; table?: string }[] = JSON.parse(
      await ok(host, 'ip', '-N', '-j', 'route', 'show', 'table', 'all'),
    )
    return routes.filter(({ dst }) => dst === '10.74.0.0/24').map(({ table = '254' }) => Number(table))
  }
  const quick = (what: string, path: string) =>
    run(pair.b, 'unshare', [
      ...['-m', 'env', 'WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go'],
      ...['sh', '-c', `${named} && exec wg-quick "$0" "$1"`, what, path],
    ])
  for (const [name, number] of [
    ['office', 4711],
    ['hex', 0x1268],
    ['branch', 4713],
  ] as const) {
    const theirs = conf('theirs', name)
    const up = await quick('up', theirs)
    t.equal(up.code, 0, up.stderr)
    t.same(await tables(pair.b), [number], `wg-quick: ${name}`)
    t.equal((await quick('down', theirs)).code, 0)
    const ways = [
      ['--wireguard', conf('ours', name)],
      ['--wireguard', conf('off', 'off'), '--table', name],
    ]
    for (const args of ways) {
      const tunnel = new RunningTunnel(pair.a, [...args, ...light], [], inMountNamespace(named))
      await tunnel.said(/ is up: /)
      t.same(await tables(), [number], `here: ${args.join(' ')}`)
      await tunnel.stop()
      t.same(await tables(), [])
    }
  }
  const unknown = new RunningTunnel(
    pair.a,
    ['--wireguard', conf('ours', 'text')],
    [],
    inMountNamespace(named),
  )
  t.equal((await unknown.ended).code, 2)
  t.match(
    unknown.stderr,
    /ours\.conf:4: Table: "text" is not a table; use auto, off, a number .* or a name of/,
  )
  t.not((await quick('up', conf('theirs', 'text'))).code, 0, 'wg-quick does not know it either')
})
