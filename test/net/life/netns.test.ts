/** `--netns`: the tunnel's sockets in one network namespace, its device in another. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { ask, askStatus, listRunning } from '../../../src/command/client.js'
import { Host } from '../../../src/lab/host.js'
import { getLink, setLink } from '../../../src/linux/interface.js'
import { hostState, journals } from '../../support/hosts/host-state.js'
import {
  ok,
  PROGRAM,
  RunningTunnel,
  run,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import { leftIn } from '../../support/hosts/leftovers.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'

let names = 0

/** A network namespace with a name of ip-netns(8). */
class Named extends Host {
  constructor() {
    super(`udf-${process.pid}-${++names}`)
  }

  async open(): Promise<this> {
    const { child } = { child: this.spawn('sleep', ['600']) }
    await ok(this, 'ip', 'netns', 'attach', this.name, `${child.pid}`)
    return this
  }

  async remove(): Promise<void> {
    await run(undefined, 'ip', ['netns', 'del', this.name])
  }
}

async function named(t: Test): Promise<Named> {
  const host = await new Named().open()
  t.teardown(async () => {
    await host.remove()
    host.close()
  })
  return host
}

const udptun = (host: Host, ...args: string[]) => run(host, process.execPath, [PROGRAM, ...args])

t.test('the device is there, the sockets are here, and the tunnel is found from both', async (t) => {
  using pair = twoHosts()
  const inside = await named(t)
  const before = await hostState(pair.a)
  const near = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, '--netns', inside.name)
  const far = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  await untilPing(inside, '10.9.0.2')
  await untilPing(pair.b, '10.9.0.1')
  t.match(await run(pair.a, 'ip', ['link', 'show', 'tap0']), { code: 1 }, 'there is no device here')
  t.same(await hostState(pair.a), before, 'nothing else has changed here')
  t.match(await ok(inside, 'ip', '-brief', 'address', 'show', 'tap0'), /10\.9\.0\.1\/24/)
  const announces = () => readFileSync('/proc/sys/net/ipv4/conf/tap0/arp_notify', 'utf8').trim()
  t.equal(inside.run(announces), '1', 'settings of the device are set where it is')
  t.match(await ok(inside, 'ss', '-Huan'), /^$/, 'there is no socket')
  t.match(await ok(pair.a, 'ss', '-Huan'), /:5149/)

  for (const host of [pair.a, inside]) {
    const { code, stdout, stderr } = await udptun(host, 'status')
    t.equal(code, 0, stderr)
    t.match(JSON.parse(stdout), { pid: near.pid, device: 'tap0', netns: inside.name, device_up: true })
    t.same(await host.run(() => listRunning()), ['tap0'])
  }
  t.equal((await far.status()).netns, null)

  // What is changed there is noticed here.
  inside.netlink((netlink) => setLink(netlink, getLink(netlink, 'tap0').index, { mtuBytes: 1200 }))
  await until('the MTU set by hand is seen', async () => (await near.status()).mtu_by === 'hand')
  t.equal((await near.status()).mtu_bytes, 1200)

  t.match(await near.stop(), { code: 0, stderr: '' })
  t.same(leftIn(inside), [])
  t.same(leftIn(pair.a), [])
})

t.test("the kernel's own datapath is not used, and status says why", async (t) => {
  using pair = twoHosts()
  const inside = await named(t)
  const args = ['10.9.0.1', pair.underlay.b, '--netns', inside.name, '--datapath']
  t.match(await udptun(pair.a, 'start', ...args, 'kernel'), {
    code: 2,
    stderr: /--datapath kernel does not go with --netns/,
  })
  await startTunnel(pair.a, ...args, 'auto')
  const far = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, '--datapath', 'auto')
  await untilPing(inside, '10.9.0.2')
  await until('the other end is up', async () => (await far.status()).peers[0].state === 'up')
  const { peers } = await pair.a.run(() => askStatus('tap0'))
  t.match(peers[0].datapath, { by: 'workers', reason: 'netns' })
  t.match((await far.status()).peers[0].datapath, { by: 'workers' })
})

t.test('a default route in the namespace of the device needs no rules and no mark', async (t) => {
  using pair = twoHosts()
  const inside = await named(t)
  const before = [await hostState(pair.a), await hostState(inside)]
  const folder = new KeyFolder()
  t.teardown(() => folder[Symbol.dispose]())
  // The addresses inside are those of the underlay, too: they are different hosts.
  const config = (local: string, endpoint: string, prefix: string) =>
    folder.write(
      `${names++}.yaml`,
      `mode: tun\nlocal: [${local}]\npeers: [{endpoint: ${endpoint}, prefixes: [${prefix}]}]\n`,
    )
  const near = config('192.0.2.77/24', pair.underlay.b, '0.0.0.0/0, "::/0"')
  const tunnel = await startTunnel(pair.a, '--config', near, '--netns', inside.name, '--dns', '10.9.0.53')
  await startTunnel(
    pair.b,
    '--config',
    config('10.9.0.2/32', pair.underlay.a, '192.0.2.77/32'),
    '--table',
    'off',
  )
  pair.b.netlink((netlink) => setLink(netlink, getLink(netlink, 'tun0').index, { up: true }))
  await ok(pair.b, 'ip', 'route', 'add', '192.0.2.77/32', 'dev', 'tun0')
  await untilPing(inside, '10.9.0.2')
  t.match(await ok(inside, 'ip', 'route', 'show', 'default'), /^default dev tun0/)
  t.match(await ok(inside, 'ip', '-6', 'route', 'show', 'default'), /^default dev tun0/)
  const after = await hostState(inside)
  t.same({ ...after, routes: '' }, { ...before[1], routes: '' }, 'there is nothing but routes')
  t.same(await hostState(pair.a), before[0])
  t.ok(
    tunnel.log.some(({ msg }) =>
      /10\.9\.0\.53 are not set, because they would count for the whole host/.test(`${msg}`),
    ),
  )
  t.notOk(tunnel.log.some(({ msg }) => /no default route|no route leads|wait until/.test(`${msg}`)))
  t.equal((await tunnel.stop()).code, 0)
  t.same(await hostState(inside), before[1])
  t.same(journals(), [])
})

t.test('what a killed tunnel has left is taken back here and there', async (t) => {
  using pair = twoHosts()
  const inside = await named(t)
  const folder = new KeyFolder()
  t.teardown(() => folder[Symbol.dispose]())
  const [here, there, noted] = [await hostState(pair.a), await hostState(inside), journals()]
  const config = folder.write(
    'full.yaml',
    `mode: tun\nlocal: [10.9.0.1/24]\npeers: [{endpoint: ${pair.underlay.b}, prefixes: [0.0.0.0/0]}]\n`,
  )
  const start = (host: Host, ...args: string[]) => startTunnel(host, '--config', config, ...args)
  await (await start(pair.a)).stop('SIGKILL')
  const left = await hostState(pair.a)
  for (const part of ['rules', 'firewall', 'srcValidMark'] as const) t.not(left[part], here[part], part)
  const away = await start(pair.a, '--netns', inside.name)
  await away.said(/taken back what a killed tunnel had left on this host: 2 rules, .*1 settings/)
  t.same(await hostState(pair.a), here, 'what was left where the program runs')
  t.equal((await away.stop()).code, 0)
  t.same(journals(), noted)

  await (await start(inside)).stop('SIGKILL')
  t.not((await hostState(inside)).rules, there.rules)
  t.equal((await (await start(pair.a, '--netns', inside.name)).stop()).code, 0)
  t.same(await hostState(inside), there, 'what was left where the device is')
  t.same(journals(), noted)
})

t.test('a file for wg-quick: up, wg, save and down', async (t) => {
  using pair = twoHosts()
  const inside = await named(t)
  const folder = new KeyFolder()
  t.teardown(() => folder[Symbol.dispose]())
  const [own, other] = [folder.make('own'), folder.make('other')]
  const device = `udn${process.pid}`.slice(0, 15)
  const secret = readFileSync(own.file, 'latin1').trim()
  const path = folder.write(
    `${device}.conf`,
    `[Interface]\nPrivateKey = ${secret}\nAddress = 10.9.0.1/24\nListenPort = 51820\n[Peer]\nPublicKey = ${other.publicKey}\nAllowedIPs = 10.9.0.2/32, 10.8.0.0/16\nEndpoint = ${pair.underlay.b}:51820\n`,
  )
  const log = `${folder.path}/log`
  const up = () => udptun(pair.a, 'up', '--netns', inside.name, '--log-file', log, '--warm-up', 'off', path)
  t.match(await up(), { code: 0 })
  t.match(await up(), { code: 1, stderr: /is up already/ })
  const keys = ['--private-key-file', other.file, '--peer-key', own.publicKey, '--listen', '51820']
  await startTunnel(pair.b, '10.9.0.2', `${pair.underlay.a}:51820`, '--mode', 'tun', ...keys)
  await untilPing(inside, '10.9.0.2', 20_000)
  t.match(await ok(inside, 'ip', 'route', 'show', '10.8.0.0/16'), new RegExp(`^10.8.0.0/16 dev ${device}`))
  for (const host of [pair.a, inside])
    t.match(await ok(host, 'wg', 'show', device, 'endpoints'), other.publicKey)
  t.match(await udptun(pair.a, 'save', path), { code: 0, stderr: '' })
  t.match(readFileSync(path, 'utf8'), /^Address = 10\.9\.0\.1\/24$/m, 'the addresses of the device are saved')
  t.match(await udptun(pair.a, 'down', path), { code: 0 })
  t.same(leftIn(inside), [])
})

t.test('the tunnel ends when the name of the namespace is gone, or the process whose it is', async (t) => {
  using pair = twoHosts()
  const inside = await named(t)
  const by = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, '--netns', inside.name)
  await inside.remove()
  t.match(await by.ended, {
    code: 1,
    stderr: new RegExp(`namespace ${inside.name} is gone, and so is the device`),
  })
  t.same(leftIn(pair.a), [])

  const host = new Host('inside')
  t.teardown(() => host.close())
  const process = host.spawn('sleep', ['600'])
  const path = `/proc/${process.pid}/ns/net`
  const tunnel = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, '--netns', path)
  t.equal((await tunnel.status()).netns, path)
  process.kill('SIGKILL')
  t.match(await tunnel.ended, { code: 1, stderr: /is gone, and so is the device/ })
})

t.test('two namespaces with devices of one name', async (t) => {
  using pair = twoHosts()
  const both = [await named(t), await named(t)]
  const tunnels = await Promise.all(
    both.map((it, at) =>
      startTunnel(pair.a, `10.9.${at}.1`, pair.underlay.b, '--netns', it.name, '--listen', `${5149 + at}`),
    ),
  )
  for (const [at, host] of both.entries())
    t.equal(
      (await host.run(() => askStatus('tap0'))).pid,
      tunnels[at].pid,
      'each is asked where its device is',
    )
  t.match(await udptun(pair.a, 'status', 'tap0'), {
    code: 1,
    stderr:
      /several tunnels were started here with a device tap0 in other network namespaces; ask in one of those/,
  })
  const here = await startTunnel(pair.a, '10.9.7.1', pair.underlay.b, '--listen', '7000')
  t.equal((await here.status()).pid, here.pid, 'the one whose device is here comes first')
  await here.stop()
  await tunnels[1].stop('SIGKILL')
  t.match(await pair.a.run(() => ask('tap0', { command: 'health' })), { healthy: true }, 'one is left')
})

t.test('doctor looks where the sockets are', async (t) => {
  using pair = twoHosts()
  const inside = await named(t)
  const near = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, '--netns', inside.name)
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  await untilPing(inside, '10.9.0.2')
  t.match(await udptun(inside, 'doctor'), {
    code: 1,
    stderr: new RegExp(`another network namespace, so ask there: nsenter --target ${near.pid} --net`),
  })
  const { stdout } = await udptun(pair.a, 'doctor')
  const findings: { severity: string; text: string }[] = JSON.parse(stdout)
  t.same(
    findings.filter(({ severity }) => severity === 'wrong'),
    [],
  )
})

t.test('what cannot be entered is said in one sentence, and nothing is left', async (t) => {
  using pair = twoHosts()
  const inside = await named(t)
  const start = (netns: string, ...wrap: string[]) => {
    const [command, ...args] = [...wrap, process.execPath, PROGRAM, 'start', '10.9.0.1', pair.underlay.b]
    return run(pair.a, command, [...args, '--netns', netns])
  }
  const weak = ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin']
  for (const [finished, code, sentence] of [
    [
      await start('nope'),
      1,
      /: there is no network namespace nope in \/run\/netns; make it with: ip netns add nope/,
    ],
    [
      await start('/proc/4194304/ns/net'),
      1,
      /\/proc\/4194304\/ns\/net does not exist; if it is that of a process/,
    ],
    [await start('/etc/passwd'), 1, /\/etc\/passwd is no network namespace; give a name/],
    [
      await start('/proc/self/ns/net'),
      1,
      /this program runs in the network namespace \/proc\/self\/ns\/net itself/,
    ],
    [await start('./blue'), 2, /--netns: "\.\/blue" is no network namespace; write a name/],
    [
      await start(inside.name, ...weak),
      1,
      /is not permitted \(setns.*EPERM\)\); it needs the capability CAP_SYS_ADMIN/,
    ],
  ] as const) {
    t.match(finished, { code, stderr: sentence })
    t.equal(finished.stderr.trim().split('\n').length, 1)
  }
  t.same(leftIn(pair.a), [])
  t.same(leftIn(inside), [])
})

t.test('a device that is taken there, and an overlay address that is', async (t) => {
  using pair = twoHosts()
  const inside = await named(t)
  inside.configure('lo', ['10.9.0.1/32'])
  const tunnel = new RunningTunnel(pair.a, ['10.9.0.1', pair.underlay.b, '--netns', inside.name])
  t.match(await tunnel.ended, {
    code: 1,
    stderr: /overlay address 10\.9\.0\.1 is taken: lo of this host has it/,
  })
  // Here, nobody minds.
  pair.a.configure('lo', ['10.9.0.3/32'])
  const other = await startTunnel(pair.a, '10.9.0.3', pair.underlay.b, '--netns', inside.name)
  t.equal((await other.stop()).code, 0)
})

t.test('a persistent device there is taken, and is what it was afterwards', async (t) => {
  using pair = twoHosts()
  const inside = await named(t)
  await ok(inside, 'ip', 'tuntap', 'add', 'tap0', 'mode', 'tap')
  const mac = inside.netlink((netlink) => getLink(netlink, 'tap0').mac)
  const tunnel = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, '--netns', inside.name)
  t.not(
    inside.netlink((netlink) => getLink(netlink, 'tap0').mac),
    mac,
  )
  t.equal((await tunnel.stop()).code, 0)
  const link = inside.netlink((netlink) => getLink(netlink, 'tap0'))
  t.match(link, { mac, up: false, mtuBytes: 1500 })
  const announces = () => readFileSync('/proc/sys/net/ipv4/conf/tap0/arp_notify', 'utf8').trim()
  t.equal(inside.run(announces), '0')
})

t.test('a thread that cannot come back ends the program', async (t) => {
  const module = fileURLToPath(new URL('../../../src/linux/netns.js', import.meta.url))
  const script = `
    import { NetworkNamespace } from '${module}'
    const there = NetworkNamespace.create()
    try {
      // Who is not root any more may enter nothing.
      there.run(() => process.setuid(65534))
    } catch {}
    console.log('went on')`
  const finished = await run(undefined, process.execPath, ['--input-type=module', '-e', script])
  t.match(finished, {
    code: 1,
    stdout: '',
    stderr: /^udptun-fast: there is no way back from another network namespace/,
  })
})
