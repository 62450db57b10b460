/** The files for Compose and Kubernetes, held against the program. That they run is tested in test/service. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import t from 'tap'
import { addStart } from '../../../src/cli/start.js'
import { loadSettings } from '../../../src/config/load.js'
import { readConfigFile } from '../../../src/config/yaml-file.js'
import { formatKey } from '../../../src/key-text.js'
import { version } from '../../../src/package/version.js'
import { StateDirectory } from '../../../src/state/state-directory.js'
import { COMPOSE_FILE, readCompose, readKubernetes } from '../../support/container-files.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'

const STATE = new StateDirectory({}).path

/** The program's flags that are not among these arguments, which begin with `start`. */
function unknownFlags(args: readonly string[]): string[] {
  const program = new Command()
  addStart(program)
  const [start] = program.commands
  const known = new Set(start.options.map(({ long }) => long))
  return args.filter((it) => it.startsWith('--') && !known.has(it))
}

t.test('Compose: the least privileges, and what the program needs', async (t) => {
  const { services, volumes } = readCompose()
  const { tunnel } = services
  t.same(Object.keys(services), ['tunnel'])
  t.same(tunnel.cap_drop, ['ALL'])
  t.same(tunnel.cap_add, ['NET_ADMIN'])
  t.same(tunnel.security_opt, ['no-new-privileges:true'])
  t.equal(tunnel.read_only, true)
  t.same(tunnel.devices, ['/dev/net/tun:/dev/net/tun'])
  t.equal(tunnel.network_mode, 'host')
  t.match(tunnel.tmpfs, [/^\/run:/])
  t.notOk('privileged' in tunnel || 'pid' in tunnel || 'ipc' in tunnel)
  t.ok(existsSync(join(COMPOSE_FILE, '..', tunnel.build, 'Dockerfile')))
  const [settings, state] = tunnel.volumes
  t.match(settings, /^\/etc\/udptun-fast:\/etc\/udptun-fast:ro$/)
  t.equal(state, `state:${STATE}`)
  t.same(Object.keys(volumes), ['state'])
  t.same(unknownFlags(tunnel.command), [])
  t.match(tunnel.command, ['start', '--config', '/etc/udptun-fast/tunnel.yaml'])
})

t.test('Kubernetes: the least privileges, and what the program needs', async (t) => {
  const { Namespace, DaemonSet } = readKubernetes()
  const { selector, template } = DaemonSet.spec
  const { spec } = template
  t.same(template.metadata.labels, selector.matchLabels)
  t.equal(DaemonSet.metadata.namespace, Namespace.metadata.name)
  t.match(Namespace.metadata.labels, { 'pod-security.kubernetes.io/enforce': 'privileged' })
  t.equal(spec.hostNetwork, true)
  t.equal(spec.automountServiceAccountToken, false)
  t.notOk('hostPID' in spec || 'hostIPC' in spec)

  const [container, ...others] = spec.containers
  t.same(others, [])
  t.same(container.securityContext, {
    runAsUser: 0,
    privileged: false,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    seccompProfile: { type: 'RuntimeDefault' },
    capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] },
  })
  t.match(container.image, `:${version}`)
  t.same(unknownFlags(container.args), [])

  const mounts = new Map(container.volumeMounts.map(({ name, ...mount }) => [name, mount]))
  t.same([...mounts.keys()].sort(), spec.volumes.map(({ name }) => name).sort())
  t.match(mounts.get('tun'), { mountPath: '/dev/net/tun' })
  t.match(mounts.get('state'), { mountPath: STATE })
  t.match(mounts.get('run'), { mountPath: '/run' })
  for (const name of ['settings', 'keys']) t.match(mounts.get(name), { readOnly: true })
  const volume = (wanted: string) => spec.volumes.find(({ name }) => name === wanted)
  t.match(volume('tun'), { hostPath: { path: '/dev/net/tun', type: 'CharDevice' } })
  t.match(volume('keys'), { secret: { defaultMode: 0o400 } }, 'only the owner may read keys')

  const metrics = container.args[container.args.indexOf('--metrics') + 1]
  for (const { httpGet, timeoutSeconds } of [
    container.startupProbe,
    container.livenessProbe,
    container.readinessProbe,
  ]) {
    t.equal(`${httpGet.host}:${httpGet.port}`, metrics)
    t.equal(httpGet.path, '/healthz')
    t.ok(timeoutSeconds > 2, 'an answer may take two seconds')
  }
})

t.test("Kubernetes: the settings of the nodes are right, and each is the other's peer", async (t) => {
  const { ConfigMap, DaemonSet } = readKubernetes()
  const [{ args, volumeMounts }] = DaemonSet.spec.template.spec.containers
  const mounted = (name: string) => volumeMounts.find((it) => it.name === name)?.mountPath
  t.equal(args[args.indexOf('--config') + 1], `${mounted('settings')}/$(NODE_NAME).yaml`)
  const keys = new KeyFolder()
  t.teardown(() => keys[Symbol.dispose]())
  const ends = Object.entries(ConfigMap.data).map(([file, text]) => {
    const node = file.replace(/\.yaml$/, '')
    t.match(text, `private_key_file: ${mounted('keys')}/${node}.key`)
    const own = keys.make(node)
    const path = keys.write(file, text.replace(`${mounted('keys')}/${node}.key`, own.file))
    return { node, settings: loadSettings({}, readConfigFile(path)) }
  })
  t.same(
    ends.map(({ node, settings }) => [node, settings.local[0].address, settings.peers[0].name]),
    [
      ['node-a', '10.9.0.1', 'node-b'],
      ['node-b', '10.9.0.2', 'node-a'],
    ],
  )
  const peerKeys = ends.map(({ settings }) => formatKey(settings.peers[0].public_key ?? new Uint8Array()))
  t.equal(new Set(peerKeys).size, 2)
})
