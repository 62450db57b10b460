import t from 'tap'
import { type Datagram, matches } from '../../../src/doctor/nft-match.js'

const DATAGRAM: Datagram = {
  hook: 'input',
  family: 'ipv4',
  source: '192.0.2.2',
  destination: ['192.0.2.1', '198.51.100.1'],
  sourcePort: 5149,
  destinationPort: 5149,
  interface: 'eth0',
  state: 'new',
}
const holds = (left: object, op: string, right: unknown, more: Partial<Datagram> = {}) =>
  matches({ op, left, right }, { ...DATAGRAM, ...more })
const payload = (protocol: string, name: string) => ({ payload: { protocol, field: name } })

t.test('a field of another protocol never matches, whatever the operator', async (t) => {
  const flags = { '&': [payload('tcp', 'flags'), ['fin', 'syn', 'rst', 'ack']] }
  for (const op of ['==', '!=', '<', '>', 'in']) {
    t.equal(holds(payload('tcp', 'dport'), op, 22), 'no')
    t.equal(holds(payload('tcp', 'dport'), op, { set: [22, 80] }), 'no')
    t.equal(holds(payload('tcp', 'dport'), op, '@ports'), 'no')
    t.equal(holds(payload('icmp', 'type'), op, 'echo-request'), 'no')
    t.equal(holds(payload('ip6', 'saddr'), op, { prefix: { addr: 'fe80::', len: 10 } }), 'no')
    t.equal(holds(flags, op, 'syn'), 'no', 'of which some bits are taken')
    t.equal(holds({ 'tcp option': { name: 'maxseg', field: 'size' } }, op, 500), 'no')
    const both = { concat: [payload('ip', 'saddr'), payload('tcp', 'dport')] }
    t.equal(holds(both, op, { set: [{ concat: ['192.0.2.2', 5149] }] }), 'no')
  }
  t.equal(holds(payload('ip6', 'saddr'), '!=', 'fe80::1', { family: 'ipv6', source: 'fe80::2' }), 'yes')
})

t.test('what is around the packet, computed, raw or inside of it is not known', async (t) => {
  for (const op of ['==', '!=']) {
    t.equal(holds(payload('ether', 'saddr'), op, '02:00:5e:00:53:01'), 'unknown')
    t.equal(holds(payload('vlan', 'id'), op, 3), 'unknown')
    t.equal(holds({ '&': [payload('udp', 'dport'), 1] }, op, 1), 'unknown')
    t.equal(holds({ payload: { base: 'th', offset: 16, len: 16 } }, op, 5149), 'unknown')
    t.equal(holds({ payload: { tunnel: 'vxlan', protocol: 'tcp', field: 'dport' } }, op, 22), 'unknown')
    t.equal(holds({ meta: { key: 'mark' } }, op, 1), 'unknown')
  }
})

t.test('a value that is one of several', async (t) => {
  const daddr = payload('ip', 'daddr')
  t.equal(holds(daddr, '==', '203.0.113.1'), 'no')
  t.equal(holds(daddr, '!=', '203.0.113.1'), 'yes')
  t.equal(holds(daddr, '==', '192.0.2.1'), 'unknown')
  t.equal(holds(daddr, '==', { set: ['192.0.2.1', '198.51.100.1'] }), 'yes')
})

t.test('what the routes say of it', async (t) => {
  const type = { fib: { result: 'type', flags: ['daddr', 'iif'] } }
  t.equal(holds(type, '!=', { set: ['local', 'broadcast', 'multicast'] }), 'no')
  t.equal(holds(type, '==', 'local'), 'yes')
  t.equal(holds(type, '==', 'local', { hook: 'output' }), 'unknown')
  const back = { fib: { result: 'oif', flags: ['saddr', 'mark', 'iif'] } }
  t.equal(holds(back, '==', false), 'no', 'there is a way back')
  t.equal(holds(back, '==', true), 'yes')
  t.equal(holds(back, '==', false, { interface: undefined }), 'unknown')
  t.equal(holds({ meta: { key: 'protocol' } }, '!=', 'ip'), 'no')
})
