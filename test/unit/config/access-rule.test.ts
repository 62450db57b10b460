import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { accessRuleSchema, parseRuleLine } from '../../../src/config/access-rule.js'
import { loadSettings } from '../../../src/config/load.js'
import { MAX_RULE_ENTRIES, MAX_RULES } from '../../../src/config/schema.js'
import { readConfigFile } from '../../../src/config/yaml-file.js'

const read = (rule: unknown) => {
  const { success, data, error } = accessRuleSchema.safeParse(rule)
  return success ? data : error?.issues.map(({ message }) => message).join('; ')
}

t.test('one value or a list, numbers or texts', async (t) => {
  t.same(read({}), { from: undefined, to: undefined, protocol: undefined, ports: undefined })
  t.same(read({ from: 'alice' }), { from: ['alice'], to: undefined, protocol: undefined, ports: undefined })
  t.match(read({ from: ['alice', 'group:admins'], protocol: 'tcp', ports: [22, '8000-8100'] }), {
    from: ['alice', 'group:admins'],
    protocol: 6,
    ports: [
      { first: 22, last: 22 },
      { first: 8000, last: 8100 },
    ],
  })
  t.match(read({ to: ['10.9.0.0/24', 'fd00::/64'], protocol: 'icmp' }), {
    to: [{ prefixLength: 24 }, { prefixLength: 64 }],
    protocol: 'icmp',
  })
  t.match(read({ protocol: 47 }), { protocol: 47 })
})

t.test('what is wrong is said', async (t) => {
  const cases: [unknown, RegExp][] = [
    ['alice', /write who may send, such as \{from: alice/],
    [{ from: [] }, /write one, or a list, such as \[alice, group:admins\]/],
    [{ from: 'group:a:b' }, /"a:b" is not the name of a group; use/],
    [{ protocol: 'tpc' }, /"tpc" is not a protocol; use tcp, udp, sctp, icmp, or a number/],
    [{ protocol: 256 }, /"256" is not a protocol/],
    [{ ports: 22 }, /has ports, which only tcp, udp and sctp have; give one of them as protocol/],
    [{ protocol: 'icmp', ports: 22 }, /has ports, which only tcp/],
    [{ protocol: 'tcp', ports: '23-22' }, /"23-22" is neither a port nor a range of ports/],
    [{ protocol: 'tcp', ports: 65_536 }, /"65536" is neither/],
    [{ protocol: 'tcp', ports: '-1' }, /"-1" is neither/],
    [{ to: '10.9.0.1/33' }, /10\.9\.0\.1\/33/],
  ]
  for (const [rule, says] of cases) t.match(read(rule), says, JSON.stringify(rule))
})

const KEY = Buffer.alloc(32, 7).toString('base64')

/** The rules that a file gives, or what is wrong with it. */
function load(t: Test, mode: 'tap' | 'tun', allow: string, isPrivate = true) {
  const folder = t.testdir()
  const key = join(folder, 'key')
  writeFileSync(key, KEY, { mode: 0o600 })
  const path = join(folder, 'tunnel.yaml')
  const lines = [
    `mode: ${mode}`,
    'local: [10.9.0.1]',
    isPrivate ? `private_key_file: ${key}` : '',
    `allow: ${allow}`,
  ]
  const peer = isPrivate
    ? `peers: [{name: alice, endpoint: b, public_key: "${KEY}", addresses: [10.9.0.2]}]`
    : 'remote: b'
  writeFileSync(path, [...lines, peer, ''].join('\n'))
  try {
    return loadSettings({}, readConfigFile(path)).allow
  } catch (error) {
    return (error as Error).message.slice(path.length)
  }
}

t.test('rules in a file', async (t) => {
  t.same(load(t, 'tap', '[]'), [])
  t.match(load(t, 'tun', '[{from: alice, protocol: tcp, ports: 22}]'), [{ from: ['alice'], protocol: 6 }])
  t.match(load(t, 'tap', '[{from: alice}]'), [{ from: ['alice'] }])
  const cases: [string, RegExp][] = [
    [
      `${load(t, 'tap', '[{from: alice}, {protocol: icmp}]')}`,
      /^:4: allow\[1\]: has to, protocol or ports, which are for mode tun/,
    ],
    [
      `${load(t, 'tun', '[]', false)}`,
      /^:4: allow: is for private tunnels, .*; give a private_key_file, or leave it out$/,
    ],
    [
      `${load(t, 'tun', '[{form: alice}]')}`,
      /^:4: allow\[0\]\.form: there is no setting "form" \(did you mean "from"\?\); there are from, to, protocol, ports$/,
    ],
    [
      `${load(t, 'tun', '[{from: alice, protocol: tcp, ports: x}]')}`,
      /^:4: allow\[0\]\.ports: "x" is neither a port nor/,
    ],
    [`${load(t, 'tun', `[${'{from: alice}, '.repeat(MAX_RULES + 1)}]`)}`, /give at most 128 rules/],
    [
      `${load(t, 'tun', `[{to: [${'10.9.0.0/24, '.repeat(33)}], protocol: tcp, ports: [${'1, '.repeat(32)}]}]`)}`,
      new RegExp(`allow: has 1056 pairs of a network and ports, and there is room for ${MAX_RULE_ENTRIES}`),
    ],
  ]
  for (const [said, expected] of cases) t.match(said, expected)
})

t.test('a rule in one line says the same', async (t) => {
  const rule = {
    from: ['alice', 'group:admins'],
    to: ['10.9.0.0/24'],
    protocol: 'tcp',
    ports: ['22', '8000-8100'],
  }
  t.same(parseRuleLine('from=alice,group:admins to=10.9.0.0/24 protocol=tcp ports=22,8000-8100'), read(rule))
  t.same(parseRuleLine('protocol=icmp'), read({ protocol: 'icmp' }))
  const cases: [string, RegExp][] = [
    ['', /"" is not a part of a rule; write from=…, to=…, protocol=…, ports=…, with one space/],
    ['alice', /"alice" is not a part of a rule/],
    ['from=a  ports=1', /"" is not a part/],
    ['form=alice', /"form=alice" is not a part/],
    ['from=a from=b', /says something twice; write a list, such as from=alice,bob/],
    ['ports=22', /has ports, which only tcp/],
    ['protocol=tcp,udp', /"tcp,udp" is not a protocol/],
  ]
  for (const [line, says] of cases) t.throws(() => parseRuleLine(line), says, line)
})
