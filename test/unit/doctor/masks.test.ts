import { randomBytes } from 'node:crypto'
import t from 'tap'
import { AddressMasks, mapStrings, maskKeys } from '../../../src/doctor/masks.js'

t.test('keys: the same one has the same mask, and nothing of it is left', async (t) => {
  for (let round = 0; round < 200; round++) {
    const bytes = randomBytes(32)
    const key = bytes.toString('base64')
    const masked = maskKeys(`a ${key}, "${key}" ${bytes.toString('hex')}`)
    t.match(masked, /^a (key-[\da-f]{8}), "\1" \(a key\)$/)
  }
  t.equal(maskKeys('/usr/lib/node_modules/udptun-fast/dist'), '/usr/lib/node_modules/udptun-fast/dist')
})

t.test('addresses: the same one has the same mask, however it is written', async (t) => {
  const masks = new AddressMasks()
  t.equal(masks.mask('192.0.2.1:5149 and 192.0.2.1/24, 192.0.2.2.'), 'ipv4-1:5149 and ipv4-1/24, ipv4-2.')
  t.equal(masks.mask('[2001:db8::1]:5149, 2001:DB8:0::1/64'), '[ipv6-3]:5149, ipv6-3/64')
  t.equal(masks.mask('::ffff:192.0.2.1.'), 'ipv4-1.')
  t.equal(masks.mask('fe80::1%eth0 to fe80::2: no way'), 'ipv6-4%eth0 to ipv6-5: no way')
  t.equal(masks.mask('02:00:5e:00:53:01 02:00:5E:00:53:01'), 'mac-6 mac-6')
})

t.test('addresses right after a word and its colon', async (t) => {
  const masks = new AddressMasks()
  t.equal(masks.mask('dns:2001:db8:77::53 node:2001:db8:77::53/64'), 'dns:ipv6-1 node:ipv6-1/64')
  t.equal(masks.mask('via 192.0.2.1:2001:db8:77::53: no way'), 'via ipv4-2:ipv6-1: no way')
  t.equal(masks.mask('mac:02:00:5e:00:53:01: no way'), 'mac:mac-3: no way')
  t.equal(masks.mask('dns:::ffff:192.0.2.1'), 'dns:ipv4-2')
})

t.test('link-layer addresses of more than six bytes', async (t) => {
  const masks = new AddressMasks()
  const infiniband = '80:00:02:08:fe:80:00:00:00:00:00:00:f4:52:14:03:00:7b:cb:a1'
  t.equal(masks.mask(`${infiniband} ${infiniband.toUpperCase()}.`), 'mac-1 mac-1.')
  t.notMatch(masks.mask('02:00:5e:ff:fe:00:53:01'), /5e|53/)
  t.equal(masks.mask('02:00:5e:00:53'), '02:00:5e:00:53')
})

t.test('what is no address of anybody stays', async (t) => {
  const masks = new AddressMasks()
  for (const text of [
    '0.0.0.0/0',
    '[::]:5149',
    '127.0.0.1',
    '::1',
    'ff:ff:ff:ff:ff:ff',
    'std::add',
    '2026-11-01T12:30:05.1Z',
    '6.18.0-1',
    '12:30:05',
    'a: b',
  ])
    t.equal(masks.mask(text), text)
})

t.test('all strings of a value, and the names of its parts', async (t) => {
  const value = { a: ['x', 1, null, true], x: { y: 'x' } }
  t.same(
    mapStrings(value, (it) => it.toUpperCase()),
    { A: ['X', 1, null, true], X: { Y: 'X' } },
  )
})
