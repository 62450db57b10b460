import t from 'tap'
import { systemClock } from '../../../../src/control/kernel/system-clock.js'
import { systemResolver } from '../../../../src/control/kernel/system-resolver.js'
import { chooseEndpoint, discoveryOf } from '../../../../src/control/peer/discovery.js'
import { Lookups } from '../../../../src/control/peer/lookups.js'
import { AF_INET, AF_INET6 } from '../../../../src/linux/constants.js'

const lookups = new Lookups(systemClock(), systemResolver)

t.test('an address is where it says, also with a zone, and never moves', async (t) => {
  for (const host of ['192.0.2.1', '2001:db8::1', 'fe80::1%eth0']) {
    const discovery = discoveryOf({ host, port: 7 }, AF_INET6, lookups)
    t.same(await discovery.locate(), [{ address: host, port: 7 }])
    t.equal(discovery.refreshMs, undefined)
  }
})

t.test('a name is at addresses of the family that the socket has, and is asked for again', async (t) => {
  const discovery = discoveryOf({ host: 'localhost', port: 7 }, AF_INET, lookups)
  t.same(await discovery.locate(), [{ address: '127.0.0.1', port: 7 }])
  t.ok(discovery.refreshMs)
})

const [A, B, C] = ['192.0.2.1', '192.0.2.2', '192.0.2.3'].map((address) => ({ address, port: 7 }))

t.test('of several addresses the first is taken, and kept while it answers and is among them', async (t) => {
  t.same(chooseEndpoint([A, B], undefined, false), A)
  t.same(chooseEndpoint([B, A], A, false), A, 'in whatever order they come')
  t.same(chooseEndpoint([B, C], A, false), B, 'it is among them no more')
})

t.test('while nothing comes back they are tried in turn', async (t) => {
  t.same(chooseEndpoint([A, B, C], A, true), B)
  t.same(chooseEndpoint([A, B, C], C, true), A)
  t.same(chooseEndpoint([A], A, true), A, 'a single one is kept')
  t.same(chooseEndpoint([A, B], { address: A.address, port: 8 }, true), A, 'the port counts, too')
})
