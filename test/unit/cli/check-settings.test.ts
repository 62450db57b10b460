/** `start --check` as people call it. It needs no right and no device. */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { PROGRAM } from '../../support/program.js'

function udptun(args: readonly string[], input = '') {
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], {
    input,
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

const keygen = () => udptun(['keygen']).stdout
const pubkey = (key: string) => udptun(['pubkey'], key).stdout.trim()

const [own, theirs] = [keygen(), keygen()]

/** A file of settings with a peer that has this key. */
function settingsWith(key: string, more = ''): string {
  const folder = t.testdir()
  const file = join(folder, 'a.key')
  writeFileSync(file, own, { mode: 0o600 })
  const peer = `{ name: bob, endpoint: 198.51.100.2, public_key: "${key}" }`
  const text = `mode: tun\nlocal: [10.9.0.1/24]\nprivate_key_file: ${file}\n${more}peers: [${peer}]\n`
  writeFileSync(join(folder, 'office.yaml'), text)
  return join(folder, 'office.yaml')
}

t.test('right settings: what they are, and exit code 0', async (t) => {
  const { status, stdout, stderr } = udptun(['start', '--config', settingsWith(pubkey(theirs)), '--check'])
  t.same([status, stderr], [0, ''])
  t.same(JSON.parse(stdout), {
    device: 'tun0',
    mode: 'tun',
    local: ['10.9.0.1/24'],
    private: true,
    peers: ['bob'],
    warnings: [],
  })
})

for (const [what, args, why] of [
  [
    'a misspelt setting',
    () => ['--config', settingsWith(pubkey(theirs), 'mtuu: auto\n')],
    /did you mean "mtu"/,
  ],
  ['the own key of this host', () => ['--config', settingsWith(pubkey(own))], /bob is this host's own/],
  ['a key that no host can have', () => ['--config', settingsWith(`${'A'.repeat(43)}=`)], /no host can have/],
  [
    'settings that do not go together',
    () => ['10.9.0.1', 'host-b', '--datapath', 'kernel', '--relay'],
    /--relay/,
  ],
  ['a file that is not there', () => ['--config', 'nowhere.yaml'], /nowhere\.yaml/],
] as const)
  t.test(`${what}: a sentence, and exit code 2`, async (t) => {
    const { status, stdout, stderr } = udptun(['start', ...args(), '--check'])
    t.same([status, stdout], [2, ''])
    t.match(stderr, why)
    t.equal(stderr.trim().split('\n').length, 1)
  })
