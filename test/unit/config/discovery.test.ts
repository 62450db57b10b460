import { hostname } from 'node:os'
import t from 'tap'
import { etcdSettings, parseDiscovery } from '../../../src/config/discovery.js'

const ENDPOINTS = ['https://192.0.2.9:2379']

t.test('an etcd needs only endpoints', async (t) => {
  const parsed = parseDiscovery({ etcd: { endpoints: ENDPOINTS } })
  t.same(etcdSettings(parsed, 'db-1'), {
    endpoints: ENDPOINTS,
    prefix: '/udptun-fast',
    network: 'default',
    name: 'db-1',
    ttl: 30,
    grace: 60,
  })
  t.equal(etcdSettings(parsed, undefined).name, hostname().split('.')[0])
  const named = parseDiscovery({ etcd: { endpoints: ENDPOINTS, name: 'x', user: 'u', password_file: 'f' } })
  t.equal(etcdSettings(named, 'db-1').name, 'x')
})

t.test('every mistake has a sentence that says where it is', async (t) => {
  for (const [etcd, message] of [
    [{}, /^etcd.endpoints: write a list of URLs/],
    [{ endpoints: [] }, /^etcd.endpoints: write a list of URLs/],
    [{ endpoints: ['host:2379'] }, /^etcd.endpoints: "host:2379" is no URL of etcd/],
    [{ endpoints: ['https://a/v3'] }, /"https:\/\/a\/v3" is no URL of etcd/],
    [{ endpoints: ['https://u:p@a'] }, /is no URL of etcd/],
    [{ endpoints: ENDPOINTS, ttl: 1 }, /^etcd.ttl: write a number of seconds, from 5 to 600/],
    [{ endpoints: ENDPOINTS, grace: '9' }, /^etcd.grace: write a number of seconds/],
    [{ endpoints: ENDPOINTS, prefix: '/a/' }, /^etcd.prefix: write ASCII characters/],
    [{ endpoints: ENDPOINTS, name: 'a/b' }, /^etcd.name: "a\/b" has a slash/],
    [{ endpoints: ENDPOINTS, network: 'a b' }, /^etcd.network: "a b" is not a peer's name/],
    [{ endpoints: ENDPOINTS, cert: 'a' }, /^etcd has only one of cert and key/],
    [{ endpoints: ENDPOINTS, password_file: 'a' }, /^etcd has only one of user and password_file/],
    [{ endpoints: ['http://a:1'], ca: 'a' }, /"http:\/\/a:1" is without TLS/],
    [{ endpoints: ENDPOINTS, usr: 'a' }, /^etcd: there is no setting "usr"; there are endpoints/],
    [7, /^write where hosts are found/],
  ] as const)
    t.throws(() => parseDiscovery({ etcd }), { name: 'RangeError', message })
  for (const value of [undefined, null, 'etcd', [], {}, { consul: {} }])
    t.throws(() => parseDiscovery(value), RangeError)
})
