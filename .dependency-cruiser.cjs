/**
 * What may import what in src/. Each folder lists the folders that it may import beside itself. Everything else, and
 * every circle, is an error. `npm run layers` checks it.
 */
const MAY_IMPORT = {
  wire: [],
  'key-text': [],
  errors: ['key-text'],
  rates: [],
  state: [],
  etcd: [],
  package: [],
  linux: ['wire'],
  crypto: ['linux', 'wire', 'key-text'],
  noise: ['crypto', 'wire', 'key-text'],
  offload: ['linux', 'package', 'wire'],
  memory: ['crypto', 'linux', 'wire'],
  encap: ['wire'],
  bpf: ['linux', 'wire'],
  worker: ['crypto', 'encap', 'linux', 'memory', 'offload', 'rates', 'wire'],
  config: ['errors', 'linux', 'noise', 'wire', 'key-text'],
  host: ['config', 'errors', 'linux', 'state'],
  invitation: ['config/addresses', 'wire'],
  join: ['config', 'crypto', 'encap', 'errors', 'invitation', 'key-text', 'linux', 'noise', 'wire'],
  control: [
    'bpf',
    'command/server',
    'command/wireguard',
    'config',
    'crypto',
    'encap',
    'errors',
    'etcd',
    'host',
    'invitation',
    'linux',
    'memory',
    'noise',
    'rates',
    'state',
    'package',
    'wire',
    'worker/task',
    'key-text',
  ],
  command: ['config', 'control', 'errors', 'key-text', 'linux'],
  service: ['control', 'key-text', 'linux'],
  observe: ['command/unix-socket', 'config/metrics-place', 'control', 'errors'],
  doctor: ['command', 'control', 'errors', 'host', 'key-text', 'linux', 'package', 'wire'],
  lab: ['command', 'linux'],
  demo: ['command', 'control', 'errors', 'lab', 'linux', 'package'],
  cli: [
    'command',
    'config',
    'control',
    'demo',
    'doctor',
    'encap',
    'errors',
    'host/hooks',
    'host/namespace',
    'invitation',
    'join',
    'linux',
    'noise',
    'observe',
    'package',
    'service',
    'wire',
    'key-text',
  ],
}

/** A folder, or a file that stands directly in src/. */
const place = (name) => `^src/${name}(/|\\.ts$)`

const layers = Object.entries(MAY_IMPORT).map(([name, others]) => ({
  name: `layer-${name}`,
  comment: `${name} may import only: ${[name, ...others].join(', ')}`,
  severity: 'error',
  from: { path: place(name) },
  to: { path: '^src/', pathNot: [name, ...others].map(place) },
}))

module.exports = {
  forbidden: [
    ...layers,
    { name: 'no-circle', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'koffi-stays-below',
      comment: 'Only linux/ and crypto/ call native functions',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/linux/', '^src/crypto/'] },
      to: { path: 'node_modules/koffi' },
    },
    {
      name: 'main-runs-without-a-kernel',
      comment:
        'Main gets the world through control/platform.ts. Only assembly.ts and kernel/ open real things',
      severity: 'error',
      from: { path: '^src/control/', pathNot: '^src/control/(assembly\\.ts$|kernel/)' },
      to: {
        path: '^src/(linux|host|control/kernel)/',
        pathNot: '^src/linux/(constants|errno|memory|sockaddr|structs)\\.ts$',
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'src-stands-alone',
      comment: 'What is installed does not need the tests or the benchmark',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench)/' },
    },
    {
      name: 'no-unlisted-package',
      comment:
        'What is installed needs only what package.json lists. Of that, packaging/bundle.ts copies in what is no dependency',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-no-pkg', 'unknown', 'undetermined'] },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.mjs'],
      conditionNames: ['import', 'node', 'default'],
      exportsFields: ['exports'],
    },
  },
}
