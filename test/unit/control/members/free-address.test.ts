import t from 'tap'
import { parsePrefix } from '../../../../src/config/addresses.js'
import { freeAddress } from '../../../../src/control/members/free-address.js'

const network = (text: string) => {
  const [address, length] = text.split('/')
  return { address, prefixLength: Number(length) }
}
const free = (of: string, ...taken: string[]) => freeAddress(network(of), taken.map(network))

t.test('the first that nobody has', async (t) => {
  t.equal(free('10.9.0.1/24'), '10.9.0.1')
  t.equal(free('10.9.0.1/24', '10.9.0.1/32'), '10.9.0.2')
  t.equal(free('10.9.0.77/24', '10.9.0.1/32', '10.9.0.2/32', '10.9.0.4/32'), '10.9.0.3')
  t.equal(free('fd00::1/64', 'fd00::1/128'), 'fd00::2')
  t.equal(free('fd00::ff/64', 'fd00::1/128', '10.9.0.1/32'), 'fd00::2')
})

t.test('not in a network that somebody has, but in one around all', async (t) => {
  t.equal(free('10.9.0.1/24', '10.9.0.0/28'), '10.9.0.16')
  t.equal(free('10.9.0.1/24', '10.9.0.0/28', '10.9.0.16/32'), '10.9.0.17')
  t.equal(free('10.9.0.1/24', '10.9.0.0/24', '0.0.0.0/0'), '10.9.0.1')
  t.equal(free('10.9.0.0/24', parsePrefix('10.9.0.0/25').address.concat('/25')), '10.9.0.128')
})

t.test('no number of a network, no broadcast address; and at last none', async (t) => {
  t.equal(free('10.9.0.1/30', '10.9.0.1/32'), '10.9.0.2')
  t.equal(free('10.9.0.1/30', '10.9.0.1/32', '10.9.0.2/32'), undefined)
  t.equal(free('10.9.0.0/31'), '10.9.0.0')
  t.equal(free('10.9.0.0/31', '10.9.0.0/32'), '10.9.0.1')
  t.equal(free('10.9.0.1/32', '10.9.0.1/32'), '10.9.0.1', 'an address alone takes nothing of itself')
})
