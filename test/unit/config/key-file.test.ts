import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { execaSync } from 'execa'
import fc from 'fast-check'
import t from 'tap'
import { readKeyFile } from '../../../src/config/key-file.js'
import { loadSettings } from '../../../src/config/load.js'
import { Secret } from '../../../src/config/secret.js'
import { parseWgQuick as parseBytes } from '../../../src/config/wg-quick.js'
import { readConfigFile } from '../../../src/config/yaml-file.js'
import { formatKey, parseKey, secretKeyLine, withoutKeys } from '../../../src/key-text.js'
import { FORMS, runsIn, WG_QUICK, YAML } from '../../support/misplaced-keys.js'
import { PROGRAM } from '../../support/program.js'

const parseWgQuick = (path: string, text: string) => parseBytes(path, Buffer.from(text))

const folder = mkdtempSync(join(tmpdir(), 'udptun-keys-'))
t.teardown(() => rmSync(folder, { recursive: true }))

const program = (args: string[], input = '') =>
  execaSync(process.execPath, [PROGRAM, ...args], {
    input,
    reject: false,
    env: { NODE_OPTIONS: '' },
  })
const wg = (command: string, input = '') => execFileSync('wg', [command], { input, encoding: 'utf8' }).trim()

function keyFile(name: string, content: string, mode = 0o600): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  chmodSync(path, mode)
  return path
}

const OWN = wg('genkey')
const OTHER = wg('pubkey', wg('genkey'))
const PSK = wg('genpsk')

t.test('keygen makes keys that wg takes, and pubkey tells what wg pubkey does', async (t) => {
  const { stdout: key } = program(['keygen'])
  t.not(program(['keygen']).stdout, key)
  t.equal(program(['pubkey'], `${key}\n`).stdout, wg('pubkey', key))
  t.equal(program(['pubkey'], OWN).stdout, wg('pubkey', OWN))
  const bytes = Buffer.from(key, 'base64')
  t.equal(bytes.length, 32)
  t.equal(bytes[0] & 7, 0)
  t.equal(bytes[31] >>> 6, 1)
  t.equal(Buffer.from(program(['keygen', '--preshared']).stdout, 'base64').length, 32)
})

t.test('pubkey of something else is one sentence, and not the thing itself', async (t) => {
  const { exitCode, stderr, stdout } = program(['pubkey'], `${OWN.slice(1)}\n`)
  t.equal(exitCode, 2)
  t.equal(stdout, '')
  t.match(stderr, /does not hold a private key/)
  t.notOk(stderr.includes(OWN.slice(1)))
})

t.test('a key file that others can read is refused with the chmod that mends it', async (t) => {
  for (const mode of [0o644, 0o640, 0o604, 0o620]) {
    const path = keyFile('open.key', OWN, mode)
    t.throws(() => readKeyFile(path), { message: new RegExp(`chmod 600 ${path}`) })
  }
  for (const mode of [0o600, 0o400])
    t.equal(formatKey(readKeyFile(keyFile('own.key', `${OWN}\n`, mode)).reveal()), OWN)
})

/** Files that are no good as key files, and what is said of them. */
const NO_KEY_FILES: readonly (readonly [what: string, path: () => string, says: RegExp])[] = [
  [
    'none',
    () => join(folder, 'none.key'),
    /: the file that it names cannot be read \(ENOENT\); check its name and who may read it\n?$/,
  ],
  [
    'open to all',
    () => keyFile('open.key', OWN, 0o644),
    /: "\S+open.key" can be read .* \(mode 644\).*: chmod 600 \S+open.key\n?$/,
  ],
  [
    'without a key',
    () => keyFile('empty.key', 'none\n'),
    /: "\S+empty.key" does not hold a key, .*: udptun-fast keygen > <a new file>\n?$/,
  ],
  ['a folder', () => folder, /: "\S+" is a folder; give the name of a file in it\n?$/],
  ['a device', () => '/dev/null', /: "\/dev\/null" is a device, and no file; check its name\n?$/],
  ...(process.getuid?.() === 0
    ? ([
        [
          "another user's",
          () => {
            const path = keyFile('other.key', OWN)
            chownSync(path, 65_534, 0)
            return path
          },
          /: "\S+other.key" is another user's \(uid 65534\), .*: chown 0 \S+other.key\n?$/,
        ],
      ] as const)
    : []),
]

t.test('what is wrong with a key file is said wherever it is named', async (t) => {
  const yaml = join(folder, 'tunnel.yaml')
  for (const [what, pathOf, says] of NO_KEY_FILES) {
    const path = pathOf()
    const own = keyFile('good.key', OWN)
    const flags: [string, string[]][] = [
      ['--private-key-file', ['--private-key-file', path, '--peer-key', OTHER]],
      [
        '--preshared-key-file',
        ['--private-key-file', own, '--peer-key', OTHER, '--preshared-key-file', path],
      ],
    ]
    for (const [flag, args] of flags) {
      const { exitCode, stderr } = program(['start', '10.9.0.1', '198.51.100.2', ...args])
      t.match(stderr, says, `${what}, ${flag}`)
      t.ok(stderr.startsWith(`udptun-fast: ${flag}: `), stderr)
      t.equal(exitCode, 2)
    }
    const files: [string, string][] = [
      [`:2: private_key_file`, `private_key_file: ${path}\npeers: [{endpoint: b, public_key: "${OTHER}"}]`],
      [
        `:4: preshared_key_file`,
        `remote: b\nprivate_key_file: ${own}\npreshared_key_file: ${path}\npublic_key: "${OTHER}"`,
      ],
      [
        `:5: peers[0].preshared_key_file`,
        `private_key_file: ${own}\npeers:\n  - public_key: "${OTHER}"\n    preshared_key_file: ${path}`,
      ],
    ]
    for (const [where, text] of files) {
      writeFileSync(yaml, `local: [10.9.0.1]\n${text}\n`)
      const { stderr } = program(['start', '--config', yaml])
      t.match(stderr, says, `${what}, ${where}`)
      t.ok(stderr.startsWith(`udptun-fast: ${yaml}${where}: `), `${where}: ${stderr}`)
    }
  }
})

t.test(
  'who may own a key file',
  { skip: process.getuid?.() !== 0 && 'only root gives files away' },
  async (t) => {
    const path = keyFile('sudo.key', OWN)
    const wg0 = keyFile('wg0.conf', `[Interface]\nPrivateKey = ${OWN}\n`)
    for (const file of [path, wg0]) chownSync(file, 1234, 0)
    const start = (args: string[], env: Record<string, string>) =>
      execaSync(process.execPath, [PROGRAM, 'start', ...args], {
        reject: false,
        env: { NODE_OPTIONS: '', ...env },
      })
    const asKey = ['10.9.0.1', '198.51.100.2', '--private-key-file', path]
    t.match(start(asKey, {}).stderr, /is another user's \(uid 1234\)/)
    t.match(start(['--wireguard', wg0], {}).stderr, /is another user's \(uid 1234\)/)
    t.match(start(asKey, { SUDO_UID: '1235' }).stderr, /is another user's \(uid 1234\)/)
    t.match(start(asKey, { SUDO_UID: '1234' }).stderr, /has no public_key/, 'who has called by sudo')
  },
)

t.test('what is no key file is said to be none, without its content', async (t) => {
  t.throws(() => readKeyFile(join(folder, 'none')), { message: /cannot be read \(ENOENT\)/ })
  t.throws(() => readKeyFile(folder), { message: /is a folder/ })
  const path = keyFile('long.key', `${OWN}\n${OWN}\n`)
  t.throws(() => readKeyFile(path), { message: /does not hold a key/ })
  for (const text of [OWN, `${OWN} `, OWN.slice(1), OWN.slice(0, -1), `${OWN}=`]) {
    const message = messageOf(() => readKeyFile(text))
    t.notOk(
      message.includes(OWN.slice(1, 40)),
      'a key in place of a file name is not repeated, mistyped or not',
    )
    const asPublic = messageOf(() =>
      loadSettings({ local: ['10.9.0.1'], remote: 'b', public_key: text.slice(0, 43) }),
    )
    t.match(asPublic, /"\(a key\)" is not a public key/)
  }
})

t.test('a key may come through a pipe', async (t) => {
  const run = (line: string, input = '') =>
    execaSync('bash', ['-c', line], { input, reject: false, env: { NODE_OPTIONS: '' } })
  const request = `${process.execPath} ${PROGRAM} network request`
  const { stdout } = run(`${request} ${keyFile('piped.key', OWN)}`)
  t.match(stdout, /^udptun-request:/)
  t.equal(run(`echo ${OWN} | ${request} /dev/stdin`).stdout, stdout)
  t.equal(run(`${request} <(echo ${OWN})`).stdout, stdout)
})

t.test('what advises a new key spares the file that was named', async (t) => {
  const path = keyFile('other.conf', '[Interface]\n')
  for (const args of [
    ['request', path],
    ['sign', path, '--name', 'a', '--public-key', OTHER],
  ]) {
    const { stderr } = program(['network', ...args])
    t.match(stderr, /does not hold a (network )?key.*; for a new key: .* <a new file>$/)
    t.equal(stderr.split(path).length, 2, `it is named once, and not in a command: ${stderr}`)
  }
})

t.test(
  'strip says which file it cannot read',
  { skip: process.getuid?.() !== 0 && 'root reads all files' },
  async (t) => {
    const path = keyFile('unread.conf', '[Interface]\n')
    chmodSync(folder, 0o755)
    const { stderr, exitCode } = execaSync(
      'setpriv',
      ['--reuid', '65534', '--clear-groups', process.execPath, PROGRAM, 'strip', path],
      { reject: false, env: { NODE_OPTIONS: '' } },
    )
    chmodSync(folder, 0o700)
    t.equal(stderr, `udptun-fast: ${path} cannot be read (EACCES); check its name and who may read it`)
    t.equal(exitCode, 2)
  },
)

t.test('a key where none belongs is not repeated, in whatever form', async (t) => {
  const messages = Object.entries(FORMS).flatMap(([form, formOf]) => [
    ...Object.entries(YAML).map(([what, fileOf]) => {
      const key = formOf(randomBytes(32))
      const path = keyFile('misplaced.yaml', fileOf(key))
      return {
        what: `${what}, ${form}`,
        key,
        message: messageOf(() => loadSettings({}, readConfigFile(path))),
      }
    }),
    ...Object.entries(WG_QUICK).map(([what, fileOf]) => {
      const key = formOf(randomBytes(32))
      return {
        what: `${what}, ${form}`,
        key,
        message: messageOf(() => loadSettings({}, parseWgQuick('wg0.conf', fileOf(key)))),
      }
    }),
  ])
  for (const { what, key, message } of messages) {
    t.same(runsIn(message, key), [], `${what}: ${key}: ${message}`)
    t.not(message, '', what)
  }
})

t.test('what looks like a key is left out of any text, and nothing else of it', async (t) => {
  const key = fc.uint8Array({ minLength: 32, maxLength: 32 }).filter((bytes) => new Set(bytes).size > 24)
  const beside = fc.string({ unit: fc.constantFrom(...".,:;-_ ()[]{}'é\n"), maxLength: 9 })
  const words = fc.constantFrom('', 'cannot be read', '/etc/udptun-fast/tunnel.yaml', 'PrivateKey')
  fc.assert(
    fc.property(
      key,
      fc.constantFrom(...Object.keys(FORMS)),
      beside,
      words,
      beside,
      (bytes, form, before, word, behind) => {
        const text = FORMS[form](Buffer.from(bytes))
        const shown = withoutKeys(`${word} ${before}${text}${behind} ${word}`)
        t.same(runsIn(shown, text), [])
        return shown.startsWith(`${word} ${before}`) && shown.endsWith(`${behind} ${word}`)
      },
    ),
  )
  for (const text of [
    '/root/Documents/Projects/MyTunnels/tunnel.yaml:3: mtu: "12" is not an MTU; write bytes from 68 to 65521',
    'vpn-gateway-0123456789.eu-central-1.Compute.Example.org does not resolve (ENOTFOUND)',
    'there are local, remote, peers, private_key_file, persistent_keepalive',
    'at Function.executeUserEntryPoint [as runMain] (node:internal/modules/run_main:85:12)',
  ])
    t.equal(withoutKeys(text), text)
})

t.test('a key is the same as text and as bytes, and nothing else is one', async (t) => {
  const key = fc.uint8Array({ minLength: 32, maxLength: 32 })
  fc.assert(
    fc.property(key, (bytes) => {
      const text = formatKey(bytes)
      const line = secretKeyLine(bytes)
      return (
        line.toString() === `${text}\n` &&
        parseKey(text)?.equals(bytes) === true &&
        parseKey(line.subarray(0, 44))?.equals(bytes) === true
      )
    }),
  )
  const text = formatKey(randomBytes(31))
  for (const wrong of [
    '',
    text,
    OWN.slice(1),
    `${OWN} `,
    OWN.replace('=', 'A'),
    `${OWN.slice(0, 42)}B=`,
    `${OWN.slice(0, 20)}-${OWN.slice(21)}`,
  ])
    t.equal(parseKey(wrong), undefined, wrong)
})

t.test('a secret shows itself to nobody', async (t) => {
  const secret = new Secret(Buffer.from(OWN, 'base64'))
  const settings = { key: secret }
  for (const text of [
    String(secret),
    inspect(settings),
    JSON.stringify(settings),
    inspect(settings, { showHidden: true, depth: 9 }),
  ])
    t.notOk(
      text.includes(OWN) || text.includes(Buffer.from(OWN, 'base64').toString('hex').slice(0, 20)),
      text,
    )
  t.not(new Secret(Buffer.from(PSK, 'base64')).fingerprint, secret.fingerprint)
  secret.wipe()
  t.ok(secret.reveal().every((byte) => byte === 0))
})

t.test('a process that has read a key leaves no core dump', async (t) => {
  const PR_GET_DUMPABLE = 3
  const path = keyFile('dump.key', OWN)
  const script = `import { readKeyFile } from '${new URL('../../../src/config/key-file.js', import.meta.url)}'
    import { prctl } from '${new URL('../../../src/linux/libc.js', import.meta.url)}'
    const before = prctl(${PR_GET_DUMPABLE}, 0, 0, 0, 0)
    readKeyFile('${path}')
    console.log(before, prctl(${PR_GET_DUMPABLE}, 0, 0, 0, 0))`
  const { stdout } = execaSync(process.execPath, ['--input-type=module', '-e', script], {
    env: { NODE_OPTIONS: '' },
  })
  t.equal(stdout, '1 0')
})

function messageOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    return (error as Error).message
  }
  return ''
}

t.test('the last peer of a private tunnel can be taken out of the file', async (t) => {
  const key = keyFile('last.key', OWN)
  for (const peers of ['peers:', 'peers: []', 'peers: # nobody']) {
    const path = keyFile('last.yaml', `local: [10.9.0.1]\nprivate_key_file: ${key}\n${peers}\n`)
    t.same(loadSettings({}, readConfigFile(path)).peers, [], peers)
  }
})

t.test('settings that make no private tunnel are refused with what is missing', async (t) => {
  const key = keyFile('a.key', OWN)
  const base = { local: ['10.9.0.1'], remote: '198.51.100.2' }
  const message = (settings: object) => messageOf(() => loadSettings({ ...base, ...settings }))
  t.match(message({ private_key_file: key }), /--private-key-file: "198.51.100.2" has no public_key/)
  t.match(message({ public_key: OTHER }), /--peer-key: is of no use without a private_key_file/)
  t.match(message({ preshared_key_file: key }), /--preshared-key-file: is used beside/)
  t.match(message({ persistent_keepalive: '25' }), /--persistent-keepalive: is for private tunnels/)
  t.match(message({ private_key_file: key, public_key: 'abc' }), /--peer-key: "abc" is not a public key/)
  t.match(
    message({ private_key_file: key, public_key: OTHER, accept_any: true }),
    /--accept-any: makes no sense/,
  )
  t.match(
    message({ private_key_file: key, public_key: OTHER, persistent_keepalive: 'x' }),
    /"x" is not a time/,
  )
  t.equal(message({ private_key_file: key, public_key: OTHER }), '')
})
