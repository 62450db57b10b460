/**
 * The image, built of the Dockerfile and run with what the files for Compose and Kubernetes give it. There is no Docker and
 * no cluster here, so podman(1) runs it, with the same privileges.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Host } from '../../src/lab/host.js'
import { flagsOfContainer, flagsOfService, readCompose, readKubernetes } from '../support/container-files.js'
import { pings, run, startTunnel, twoHosts, until, untilPing } from '../support/hosts/lab.js'
import { KeyFolder } from '../support/hosts/wireguard-go.js'
import { IMAGE, Podman } from '../support/service/podman.js'

const WITHIN_MS = 40_000

const podman = await Podman.open()
t.teardown(() => podman[Symbol.asyncDispose]())

/** CAP_NET_ADMIN, as /proc/<pid>/status has it. */
const NET_ADMIN = '0000000000001000'

/** A new directory that containers see. */
function folder(name: string): string {
  const path = join(podman.folder, name)
  mkdirSync(path)
  return path
}

const inside = (name: string, ...command: string[]) =>
  podman.try(undefined, 'podman', 'exec', name, ...command)

async function statusOf(name: string) {
  return JSON.parse((await inside(name, 'udptun-fast', 'status')).stdout)
}

t.test('the Dockerfile is built', async (t) => {
  await podman.makeBase()
  await podman.build()
  const said = await podman.do(undefined, 'podman', 'run', '--rm', '--network', 'none', IMAGE)
  t.match(said, /Usage: udptun-fast/, 'without arguments it says what there is')
  const config = JSON.parse(await podman.do(undefined, 'podman', 'inspect', '--type', 'image', IMAGE))[0]
  t.match(config.Healthcheck, { Test: ['CMD', 'udptun-fast', 'status', '--check'] })
})

t.test('with the privileges of the file for Compose: health, commands, reload, and its end', async (t) => {
  using pair = twoHosts()
  const { tunnel } = readCompose().services
  const settings = folder('settings')
  const state = folder('state')
  const write = (remote: string) =>
    writeFileSync(join(settings, 'tunnel.yaml'), `local: [10.9.0.1]\npeers: [${remote}]\nwarm_up: off\n`)
  write(pair.underlay.b)
  const flags = flagsOfService(tunnel, [`${settings}:/etc/udptun-fast:ro`, `${state}:/var/lib/udptun-fast`])
  await podman.start(pair.a, 'compose', flags, ...tunnel.command)
  const far = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  await untilPing(pair.a, '10.9.0.2', WITHIN_MS)
  const { stdout } = await inside('compose', 'cat', '/proc/1/status')
  for (const set of ['CapPrm', 'CapEff', 'CapBnd']) t.match(stdout, `${set}:\t${NET_ADMIN}`)
  t.match(stdout, /^NoNewPrivs:\t1$/m)
  t.not((await inside('compose', 'touch', '/opt/udptun-fast/x')).code, 0, 'its files cannot be written')

  const health = async () => (await podman.try(undefined, 'podman', 'healthcheck', 'run', 'compose')).code
  t.equal(await health(), 0, 'healthy')
  const first = (await statusOf('compose')).pid
  write(`${pair.underlay.b}, 192.0.2.77`)
  t.match(await inside('compose', 'udptun-fast', 'reload'), { code: 0 })
  t.equal((await statusOf('compose')).peers.length, 2)
  write(pair.underlay.b)
  t.match(await inside('compose', 'udptun-fast', 'reload'), { code: 0 })
  t.equal((await statusOf('compose')).pid, first, 'it is the same process')

  await far.stop()
  await until('a peer that is down counts', async () => (await health()) === 1, WITHIN_MS)
  const { code, log } = await podman.stop('compose')
  t.equal(code, 0)
  t.match(log, /stopped by SIGTERM/)
  const links = await run(pair.a, 'ip', ['link', 'show', 'tap0'])
  t.equal(links.code, 1, 'the device is gone')
})

t.test('with the privileges of the file for Kubernetes: two private ends, and the probes', async (t) => {
  using pair = twoHosts()
  const { DaemonSet } = readKubernetes()
  const [container] = DaemonSet.spec.template.spec.containers
  const keys = new KeyFolder()
  t.teardown(() => keys[Symbol.dispose]())
  const own = [keys.make('node-a'), keys.make('node-b')]
  const ends = [pair.a, pair.b] as const
  for (const [at, name] of ['node-a', 'node-b'].entries()) {
    const settings = folder(name)
    const remote = at === 0 ? pair.underlay.b : pair.underlay.a
    writeFileSync(
      join(settings, `${name}.yaml`),
      `local: [10.9.0.${at + 1}]\nprivate_key_file: /etc/udptun-fast-keys/${name}\npeers:\n  - {endpoint: ${remote}, public_key: "${own[1 - at].publicKey}"}\n`,
    )
    const seen = [`${settings}:/etc/udptun-fast:ro`, `${own[at].file}:/etc/udptun-fast-keys/${name}:ro`]
    const args = container.args.map((it) => it.replace('$(NODE_NAME)', name))
    await podman.start(ends[at], name, flagsOfContainer(container, seen), ...args)
  }
  await untilPing(pair.a, '10.9.0.2', WITHIN_MS)
  for (const { httpGet } of [container.startupProbe, container.livenessProbe, container.readinessProbe]) {
    const url = `http://${httpGet.host}:${httpGet.port}${httpGet.path}`
    t.match(await probe(pair.a, url), { code: 0, stdout: /^200/ })
  }
  const { stdout } = await inside('node-a', 'cat', '/proc/1/status')
  t.match(stdout, `CapEff:\t${NET_ADMIN}`)
  t.match(stdout, /^NoNewPrivs:\t1$/m)
  for (const name of ['node-a', 'node-b']) t.equal((await podman.stop(name)).code, 0)
})

function probe(host: Host, url: string) {
  const script = `const answer = await fetch('${url}'); console.log(answer.status)`
  return run(host, process.execPath, ['--input-type=module', '-e', script])
}

t.test(
  "the kernel's own datapath needs CAP_BPF and CAP_NET_RAW, and a profile that allows bpf(2)",
  async (t) => {
    using pair = twoHosts()
    const { tunnel } = readCompose().services
    // The profile of this podman allows bpf(2) only with CAP_SYS_ADMIN.
    const more = ['--cap-add', 'BPF', '--cap-add', 'NET_RAW', '--security-opt', 'seccomp=unconfined']
    const flags = [...flagsOfService(tunnel, []), ...more]
    const { underlay } = pair
    await podman.start(pair.a, 'kernel-a', flags, 'start', '10.9.0.1', underlay.b, '--datapath', 'kernel')
    await podman.start(pair.b, 'kernel-b', flags, 'start', '10.9.0.2', underlay.a, '--datapath', 'kernel')
    await untilPing(pair.a, '10.9.0.2', WITHIN_MS)
    const by = async () => (await statusOf('kernel-a')).peers[0].datapath.by
    await until('the kernel carries the frames', async () => (await by()) === 'kernel', WITHIN_MS)
    t.ok(await pings(pair.a, '10.9.0.2'))
    for (const name of ['kernel-a', 'kernel-b']) t.equal((await podman.stop(name)).code, 0)
  },
)

t.test('a container without any privilege gets a device by --netns', async (t) => {
  using pair = twoHosts()
  const flags = ['--network', 'none', '--cap-drop', 'ALL', '--entrypoint', 'sleep']
  await podman.do(
    pair.a,
    'podman',
    'run',
    '--detach',
    '--name',
    'bare',
    '--pull',
    'never',
    ...flags,
    IMAGE,
    '600',
  )
  const pid = await podman.do(undefined, 'podman', 'inspect', '--format', '{{.State.Pid}}', 'bare')
  const near = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, '--netns', `/proc/${pid}/ns/net`)
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  await untilPing(pair.b, '10.9.0.1', WITHIN_MS)
  t.match((await inside('bare', 'cat', '/proc/net/dev')).stdout, /tap0:/)
  await podman.do(undefined, 'podman', 'rm', '--force', '--time', '1', 'bare')
  t.match(await near.ended, { code: 1, stderr: /is gone, and so is the device in it/ })
})
