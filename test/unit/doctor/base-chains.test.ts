import t from 'tap'
import type { Datagram } from '../../../src/doctor/nft-match.js'
import { fateOf } from '../../../src/doctor/ruleset.js'

const base = (hook: string, more: object = {}) => ({
  chain: { family: 'inet', table: 't', name: hook, type: 'filter', hook, prio: 0, policy: 'drop', ...more },
})
const rule = (chain: string, ...expr: object[]) => ({ rule: { family: 'inet', table: 't', chain, expr } })

const IN: Datagram = {
  hook: 'input',
  family: 'ipv4',
  source: '192.0.2.2',
  destinationPort: 5149,
  interface: 'eth0',
  state: 'new',
}
const OUT: Datagram = { ...IN, hook: 'output' }

t.test('each hook on the way counts, and those on no way do not', async (t) => {
  for (const hook of ['prerouting', 'input']) {
    t.equal(fateOf([base(hook)], IN).dropped, 'yes', hook)
    t.equal(fateOf([base(hook)], OUT).dropped, 'no', hook)
  }
  for (const hook of ['output', 'postrouting']) {
    t.equal(fateOf([base(hook)], OUT).dropped, 'yes', hook)
    t.equal(fateOf([base(hook)], IN).dropped, 'no', hook)
  }
  t.equal(fateOf([base('forward')], IN).dropped, 'no')
  t.equal(fateOf([base('input', { family: 'bridge' })], IN).dropped, 'no')
})

t.test('the chain that comes first is named', async (t) => {
  const late = base('prerouting', { name: 'late', prio: 10 })
  const early = base('prerouting', { name: 'early', prio: -150 })
  const ingress = base('ingress', { family: 'netdev', dev: 'eth0' })
  t.equal(fateOf([base('input'), late, early], IN).chain, 'inet t early')
  t.equal(fateOf([base('input'), late], IN).chain, 'inet t late')
  t.equal(fateOf([early, ingress], IN).chain, 'netdev t ingress')
  t.equal(fateOf([base('postrouting'), base('output')], OUT).chain, 'inet t output')
})

t.test('chains of devices', async (t) => {
  for (const [hook, datagram] of [
    ['ingress', IN],
    ['egress', OUT],
  ] as const) {
    const fate = (more: object) => fateOf([base(hook, { family: 'netdev', ...more })], datagram).dropped
    t.equal(fate({ dev: 'eth0' }), 'yes')
    t.equal(fate({ dev: ['eth1', 'eth0'] }), 'yes')
    t.equal(fate({ dev: 'eth1' }), 'no')
    t.equal(fate({}), 'unknown', 'some versions of nft leave it out')
    t.equal(fate({ policy: 'accept' }), 'no')
  }
})

t.test('connections are tracked from a certain priority on', async (t) => {
  const invalid = { match: { op: 'in', left: { ct: { key: 'state' } }, right: 'invalid' } }
  const chain = (prio: number) => [
    base('prerouting', { prio, policy: 'accept' }),
    rule('prerouting', invalid, { drop: null }),
  ]
  t.equal(fateOf(chain(-300), IN).dropped, 'yes')
  t.equal(fateOf(chain(-150), IN).dropped, 'no')
})

t.test('NAT sees only what begins a connection, and ends its chain', async (t) => {
  const nat = base('prerouting', { type: 'nat' })
  t.equal(fateOf([nat], IN).dropped, 'yes')
  t.equal(fateOf([nat], { ...IN, state: 'established' }).dropped, 'no')
  t.equal(fateOf([nat, rule('prerouting', { redirect: { port: 6000 } })], IN).dropped, 'no')
})

t.test('a chain that may end, or return, drops if its policy does', async (t) => {
  const limit = { limit: { rate: 5, per: 'second' } }
  t.equal(fateOf([base('input'), rule('input', limit, { return: null })], IN).dropped, 'yes')
})
