import { execFileSync } from 'node:child_process'
import t from 'tap'
import type { Datagram } from '../../../src/doctor/nft-match.js'
import { fateOf } from '../../../src/doctor/ruleset.js'

const match = (left: object, right: unknown, op = '==') => ({ match: { op, left, right } })
const dport = (right: unknown, op?: string) =>
  match({ payload: { protocol: 'udp', field: 'dport' } }, right, op)
const state = (right: unknown) => match({ ct: { key: 'state' } }, right, 'in')
const DROP = { drop: null }
const ACCEPT = { accept: null }

/** A ruleset with a base chain `in`, and other chains. */
function ruleset(
  policy: string,
  base: readonly object[][],
  others: Record<string, object[][]> = {},
  family = 'inet',
) {
  const chain = (name: string, more = {}) => ({ chain: { family, table: 't', name, ...more } })
  const rules = (name: string, all: readonly object[][]) =>
    all.map((expr) => ({ rule: { family, table: 't', chain: name, expr } }))
  return [
    chain('in', { type: 'filter', hook: 'input', prio: 0, policy }),
    ...rules('in', base),
    ...Object.entries(others).flatMap(([name, all]) => [chain(name), ...rules(name, all)]),
  ]
}

const DATAGRAM: Datagram = {
  hook: 'input',
  family: 'ipv4',
  source: '192.0.2.2',
  sourcePort: 5149,
  destinationPort: 5149,
  interface: 'eth0',
  state: 'new',
}
const fate = (rules: readonly unknown[], more: Partial<Datagram> = {}) =>
  fateOf(rules, { ...DATAGRAM, ...more }).dropped

t.test('the policy decides if no rule does', async (t) => {
  t.equal(fate([]), 'no')
  t.equal(fate(ruleset('accept', [])), 'no')
  t.same(fateOf(ruleset('drop', []), DATAGRAM), { dropped: 'yes', chain: 'inet t in' })
  t.equal(fate(ruleset('drop', []), { hook: 'output' }), 'no', 'another hook')
  t.equal(fate(ruleset('drop', [], {}, 'ip6')), 'no', 'another family')
  t.equal(fate(ruleset('drop', [], {}, 'ip6'), { family: 'ipv6' }), 'yes')
})

t.test('a port: a number, a set, a range, another one', async (t) => {
  for (const right of [
    5149,
    { set: [22, 5149] },
    { range: [5000, 6000] },
    { set: [{ range: [1, 9] }, 5149] },
  ]) {
    t.equal(fate(ruleset('drop', [[dport(right), ACCEPT]])), 'no', JSON.stringify(right))
    t.equal(fate(ruleset('accept', [[dport(right), DROP]])), 'yes', JSON.stringify(right))
  }
  t.equal(fate(ruleset('accept', [[dport(5150), DROP]])), 'no')
  t.equal(fate(ruleset('accept', [[dport(5150, '!='), DROP]])), 'yes')
  t.equal(
    fate(ruleset('accept', [[match({ payload: { protocol: 'tcp', field: 'dport' } }, 5149), DROP]])),
    'no',
  )
  t.equal(fate(ruleset('accept', [[dport('@ports'), DROP]])), 'unknown', 'a set with a name')
})

t.test('interface, address and state', async (t) => {
  const iif = (right: string) => match({ meta: { key: 'iifname' } }, right)
  t.equal(fate(ruleset('drop', [[iif('eth*'), ACCEPT]])), 'no')
  t.equal(fate(ruleset('drop', [[iif('eth1'), ACCEPT]])), 'yes')
  const saddr = match(
    { payload: { protocol: 'ip', field: 'saddr' } },
    { prefix: { addr: '192.0.2.0', len: 24 } },
  )
  t.equal(fate(ruleset('accept', [[saddr, DROP]])), 'yes')
  t.equal(fate(ruleset('accept', [[saddr, DROP]]), { source: '198.51.100.1' }), 'no')
  const answers = ruleset('drop', [[state(['established', 'related']), ACCEPT]])
  t.equal(fate(answers), 'yes')
  t.equal(fate(answers, { state: 'established' }), 'no')
})

t.test('jumps, returns, gotos and maps of verdicts', async (t) => {
  const jump = (target: string) => [{ jump: { target } }]
  t.equal(fate(ruleset('drop', [jump('other')], { other: [[dport(5149), ACCEPT]] })), 'no')
  t.equal(fate(ruleset('drop', [jump('other')], { other: [[{ return: null }], [ACCEPT]] })), 'yes')
  t.equal(fate(ruleset('accept', [[{ goto: { target: 'other' } }], [DROP]], { other: [] })), 'no')
  t.equal(fate(ruleset('accept', [jump('in')])), 'no', 'a circle ends')
  const vmap = (key: object, set: unknown[]) => [{ vmap: { key, data: { set } } }]
  const states = [
    ['established', ACCEPT],
    ['new', DROP],
  ]
  t.equal(fate(ruleset('accept', [vmap({ ct: { key: 'state' } }, states)])), 'yes')
  t.equal(fate(ruleset('drop', [vmap({ ct: { key: 'state' } }, states)]), { state: 'established' }), 'no')
})

t.test('what cannot be decided may drop', async (t) => {
  const limit = { limit: { rate: 5, per: 'second' } }
  t.equal(fate(ruleset('accept', [[limit, DROP]])), 'unknown')
  t.equal(fate(ruleset('drop', [[limit, ACCEPT]])), 'unknown')
  t.equal(fate(ruleset('accept', [[{ xt: { type: 'match', name: 'u32' } }, dport(1), DROP]])), 'no')
  t.equal(fate(ruleset('accept', [[{ counter: { packets: 1, bytes: 2 } }, { log: null }, DROP]])), 'yes')
})

t.test("nft's own JSON, in a namespace", async (t) => {
  const script = `nft -f - <<'NFT'
table inet fw {
  set ok { type inet_service; elements = { 22, 443 } }
  chain input {
    type filter hook input priority filter; policy drop;
    ct state vmap { established : accept, related : accept, invalid : drop }
    iif lo accept
    ip protocol icmp accept
    tcp dport @ok accept
    meta l4proto udp th dport 5149 counter accept
  }
}
NFT
nft -j list ruleset`
  const { nftables } = JSON.parse(execFileSync('unshare', ['-n', 'sh', '-c', script], { encoding: 'utf8' }))
  t.equal(fate(nftables), 'no')
  t.equal(fate(nftables, { destinationPort: 5150 }), 'yes')
  t.equal(fate(nftables, { destinationPort: 5150, state: 'established' }), 'no')
})
