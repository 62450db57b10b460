import t from 'tap'
import { parsePrefix } from '../../../../src/config/addresses.js'
import type { PeerSettings } from '../../../../src/config/schema.js'
import { placesOf, toldOf } from '../../../../src/control/mesh/member.js'
import { readMember, writeMember } from '../../../../src/wire/introduction.js'

const B: PeerSettings = {
  name: 'b',
  public_key: Buffer.alloc(32, 2),
  endpoint: { host: '198.51.100.2', port: 7000 },
  addresses: ['10.9.0.2', 'fd00:9::2'],
  prefixes: [parsePrefix('10.8.2.0/24')],
  macs: [],
  everything: false,
  preshared_key_file: undefined,
  persistent_keepalive: undefined,
}

const tell = (settings: PeerSettings, seen?: { address: string; port: number }) => {
  const told = toldOf({ settings, endpoint: seen, record: undefined })
  return told && readMember(writeMember(told))
}

t.test('a peer is told with its networks, and with where it is seen and configured', async (t) => {
  const told = tell(B, { address: '203.0.113.2', port: 5149 })
  t.match(told, { name: 'b', publicKey: Uint8Array.from(Buffer.alloc(32, 2)) })
  t.same(
    told?.networks.map(({ prefixLength }) => prefixLength),
    [32, 128, 24],
  )
  t.same(told && placesOf(told), [
    { address: '203.0.113.2', port: 5149 },
    { address: '198.51.100.2', port: 7000 },
  ])
})

t.test('the same place is told once, and a name or a link-local address not at all', async (t) => {
  const placesTold = (...args: Parameters<typeof tell>) => tell(...args)?.endpoints.length
  t.equal(placesTold(B, { address: '198.51.100.2', port: 7000 }), 1)
  t.equal(placesTold({ ...B, endpoint: { host: 'b.example.net', port: 1 } }), 0)
  t.equal(placesTold({ ...B, endpoint: undefined }, { address: 'fe80::2%eth0', port: 1 }), 0)
  t.equal(placesTold({ ...B, endpoint: { host: '2001:db8::2', port: 1 } }), 1)
})

t.test('who has no key, or too much to be told in one datagram, is not told', async (t) => {
  t.equal(tell({ ...B, public_key: undefined }), undefined)
  const many = Array.from({ length: 100 }, (_, index) => `10.9.1.${index}`)
  t.equal(tell({ ...B, addresses: many }), undefined)
  t.ok(tell({ ...B, addresses: many.slice(0, 50) }))
})

t.test('places that nobody else can reach, or that are many, are not tried', async (t) => {
  const at = (...address: number[]) => ({ address: Uint8Array.from(address), port: 5149 })
  const ip6 = (first: number, second: number, last = 1) => at(first, second, ...new Array(13).fill(0), last)
  const endpoints = [
    at(127, 0, 0, 1),
    at(224, 0, 0, 1),
    at(255, 255, 255, 255),
    at(0, 0, 0, 0),
    at(169, 254, 1, 1),
    ip6(0xff, 2),
    ip6(0xfe, 0x80),
    ip6(0, 0),
  ]
  const member = { publicKey: new Uint8Array(32), name: 'x', networks: [] }
  t.same(placesOf({ ...member, endpoints }), [])
  t.equal(placesOf({ ...member, endpoints: [at(10, 0, 0, 1), ip6(0xfd, 0), ip6(0x20, 1)] }).length, 3)
})
