import { spawnSync } from 'node:child_process'
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { renderRecord, shownRecord } from '../../../src/cli/network.js'
import { formatKey } from '../../../src/key-text.js'
import { derivePublicKey, deriveSigningKey } from '../../../src/noise/keys.js'
import { PROGRAM } from '../../support/program.js'
import { SignedNetwork } from '../../support/signed-network.js'

function run(args: readonly string[], input = '') {
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, 'network', ...args], {
    input,
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

const PUBLIC_KEY = 'xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg='

t.test('a key is made once, for its owner alone, and signs records that can be shown', async (t) => {
  const folder = t.testdir()
  const file = join(folder, 'network.key')
  const made = run(['key', file])
  t.match(made, { status: 0, stdout: /^[A-Za-z0-9+/]{43}=\n$/, stderr: '' })
  t.equal(statSync(file).mode & 0o777, 0o600)
  const before = readFileSync(file, 'utf8')
  t.match(run(['key', file]), {
    status: 1,
    stdout: '',
    stderr: /is there already, and a key is never overwritten/,
  })
  t.equal(readFileSync(file, 'utf8'), before)
  t.match(run(['key', join(folder, 'nowhere', 'x')]), { status: 1, stderr: /cannot be made \(ENOENT\)/ })

  const who = ['--name', 'laptop', '--public-key', PUBLIC_KEY]
  const more = [
    '--address',
    '10.9.0.3',
    '--prefix',
    '10.8.0.5/16',
    '--group',
    'staff',
    '--group',
    'admins',
    '--allow',
    'from=group:admins protocol=tcp ports=22',
    '--days',
    '30',
    '--serial',
    '7',
  ]
  const signed = run(['sign', file, ...who, ...more])
  t.match(signed, { status: 0, stdout: /^udptun-record:[A-Za-z0-9+/=]+\n$/, stderr: '' })
  const record = join(folder, 'laptop.record')
  writeFileSync(record, signed.stdout)
  const networkKey = ['--network-key', made.stdout.trim()]
  for (const shown of [
    run(['show', record, ...networkKey]),
    run(['show', ...networkKey], signed.stdout),
    run(['show', signed.stdout.trim(), ...networkKey]),
  ]) {
    t.equal(shown.status, 0, shown.stderr)
    t.match(JSON.parse(shown.stdout), {
      name: 'laptop',
      public_key: PUBLIC_KEY,
      networks: ['10.8.0.0/16', '10.9.0.3/32'],
      groups: ['staff', 'admins'],
      allow: ['from=group:admins protocol=tcp ports=22'],
      serial: 7,
      has_ended: false,
      signed: true,
    })
    const days = (Date.parse(JSON.parse(shown.stdout).ends) - Date.now()) / 86_400_000
    t.ok(days > 29.9 && days <= 30, `${days} days`)
  }
  t.match(run(['show', record]), { status: 0, stdout: /"signed": null/ })
  t.match(run(['show', record, '--network-key', PUBLIC_KEY]), { status: 1, stdout: /"signed": false/ })

  const own = join(folder, 'own.key')
  writeFileSync(own, `${Buffer.alloc(32, 9).toString('base64')}\n`, { mode: 0o600 })
  const request = run(['request', own])
  t.match(request, { status: 0, stdout: /^udptun-request:[A-Za-z0-9+/]{92}\n$/, stderr: '' })
  const asked = run(['sign', file, '--name', 'laptop', '--request', request.stdout.trim()])
  t.match(JSON.parse(run(['show', asked.stdout.trim(), ...networkKey]).stdout), {
    public_key: formatKey(derivePublicKey(Buffer.alloc(32, 9))),
    signing_key: formatKey(deriveSigningKey(Buffer.alloc(32, 9)).publicKey),
    signed: true,
  })

  const serial = JSON.parse(run(['show'], run(['sign', file, ...who]).stdout).stdout).serial
  t.ok(Math.abs(serial - Date.now() / 1_000) < 60, 'the present time, if nothing else is said')

  const wrong: [readonly string[], RegExp, number][] = [
    [['sign', file, '--name', 'x'], /give either --request or --public-key/, 2],
    [['sign', file, ...who, '--request', 'x'], /give either --request or --public-key/, 2],
    [['sign', file, '--name', 'x', '--request', 'x'], /--request: this is no request, which begins/, 2],
    [['request', join(folder, 'nothing')], /the private key: the file that it names cannot be read/, 2],
    [['sign', file, '--name', 'a b', '--public-key', PUBLIC_KEY], /--name: "a b" is not a peer's name/, 2],
    [['sign', file, ...who, '--address', '10.9.0.3/24'], /--address: .* is not an overlay address/, 2],
    [['sign', file, ...who, '--group', 'a,b'], /--group: "a,b" is not the name of a group/, 2],
    [['sign', file, ...who, '--allow', 'admins'], /--allow: "admins" is not a part of a rule/, 2],
    [['sign', file, ...who, '--days', '0'], /--days: "0" is not right; write a whole number from 1/, 2],
    [['sign', file, ...who, '--serial', '-1'], /serial/, 2],
    [
      [
        'sign',
        file,
        ...who,
        ...Array.from({ length: 45 }, (_, index) => ['--address', `10.9.0.${index}`]).flat(),
      ],
      /at most 360 fit into one datagram/,
      1,
    ],
    [['sign', record, ...who], /can be read or written by others/, 1],
    [['show', 'udptun-record:AAAA'], /is damaged, or of another version/, 2],
    [['show', join(folder, 'nothing')], /is neither a signed record nor a file/, 2],
    [['show', record, '--network-key', 'x'], /is not the public part of a network key/, 2],
  ]
  for (const [args, why, status] of wrong) t.match(run(args), { status, stdout: '', stderr: why }, `${why}`)
  t.match(run(['show'], 'something else'), {
    status: 2,
    stderr: /standard input: this is not a signed record/,
  })
  chmodSync(record, 0o600)
  t.match(run(['sign', record, ...who]), { status: 1, stderr: /does not hold a network key; check its name/ })
})

t.test('for a person', async (t) => {
  const network = new SignedNetwork(Buffer.alloc(32, 1))
  const record = network.record({
    name: 'laptop',
    publicKey: Buffer.alloc(32, 7),
    addresses: ['10.9.0.3'],
    endsS: 1_900_000_000,
  })
  const text = renderRecord(shownRecord(record, true, 0))
  t.match(text, /name +laptop\n/)
  t.match(text, /networks +10\.9\.0\.3\/32\n/)
  t.match(text, /valid until +2030-03-17\n/)
  t.match(text, /signed +by this network key/)
  t.match(
    renderRecord(shownRecord(record, false, 1_900_000_000_000)),
    /2030-03-17, which is over\n.*not by this network key/,
  )
})
