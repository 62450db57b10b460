import t from 'tap'
import { chooseAddress } from '../../../src/control/listening.js'
import type { HostAddress } from '../../../src/control/network.js'

const NOWHERE = '192.0.0.8'

function of(address: string, more: Partial<HostAddress> = {}): HostAddress {
  return { address, ready: true, global: true, deprecated: false, secondary: false, ...more }
}

const v4 = of('192.0.2.1')
const second = of('192.0.2.9', { secondary: true })
const v6 = of('2001:db8::1')
const temporary = of('2001:db8::dead', { secondary: true })
const linkLocal = of('fe80::1%2', { global: false })

t.test('of several addresses of an interface the best one is listened on', async (t) => {
  const all = [linkLocal, temporary, v6, second, v4]
  t.equal(chooseAddress(all, undefined, NOWHERE), '192.0.2.1')
  t.equal(chooseAddress(all, 'ipv4', NOWHERE), '192.0.2.1')
  t.equal(chooseAddress(all, 'ipv6', NOWHERE), '2001:db8::1')
  t.equal(chooseAddress([linkLocal, temporary], undefined, NOWHERE), '2001:db8::dead')
  t.equal(chooseAddress([linkLocal], undefined, NOWHERE), 'fe80::1%2', 'better than none')
  t.equal(chooseAddress([linkLocal], 'ipv4', NOWHERE), undefined)
  t.equal(chooseAddress([], undefined, NOWHERE), undefined)
})

t.test('the present one stays until it is about to go', async (t) => {
  t.equal(chooseAddress([v4, second], undefined, second.address), '192.0.2.9')
  t.equal(chooseAddress([v4, v6], undefined, v6.address), '2001:db8::1')
  const old = of('2001:db8::2', { deprecated: true })
  t.equal(chooseAddress([old, v6], undefined, old.address), '2001:db8::1')
  t.equal(chooseAddress([old], undefined, old.address), '2001:db8::2', 'it can still be used')
  t.equal(chooseAddress([v4], undefined, second.address), '192.0.2.1')
})

t.test('an address that is not ready yet is waited for', async (t) => {
  t.equal(chooseAddress([of('2001:db8::1', { ready: false })], undefined, NOWHERE), undefined)
  t.equal(chooseAddress([of('192.0.2.1', { ready: false }), v6], undefined, NOWHERE), '2001:db8::1')
})
