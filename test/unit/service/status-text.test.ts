import t from 'tap'
import type { PeerState } from '../../../src/control/peer/liveness.js'
import type { PeerSource } from '../../../src/control/status.js'
import { statusText } from '../../../src/service/status-text.js'

const text = (
  states: Readonly<Record<string, PeerState>>,
  trouble: { listen?: string; reload?: string } = {},
  source: PeerSource = 'member',
) =>
  statusText({
    device: 'tap0',
    peers: Object.entries(states).map(([name, state]) => ({ name, state, source })),
    listenTrouble: trouble.listen,
    reloadTrouble: trouble.reload,
  })

t.test('how many peers are up, and which are not', async (t) => {
  t.equal(text({}), 'tap0: no peers')
  t.equal(text({ a: 'up' }), 'tap0: 1 of 1 peer up')
  t.equal(text({ a: 'up', b: 'down' }), 'tap0: 1 of 2 peers up; not up: b (down)')
  t.equal(
    text({ a: 'new', b: 'silent', c: 'down', d: 'new', e: 'new' }),
    'tap0: 0 of 5 peers up; not up: a (not heard yet), b (silent), c (down), 2 more',
  )
})

t.test('an invitation is no peer that could be up', async (t) => {
  t.equal(text({ 'al:CD7Hj0': 'new' }, {}, 'invitation'), 'tap0: no peers')
})

t.test('what is wrong with the tunnel itself', async (t) => {
  t.equal(text({ a: 'up' }, { listen: 'no ppp0' }), 'tap0: 1 of 1 peer up; nothing is received: no ppp0')
  t.equal(text({ a: 'up' }, { reload: 'no file' }), 'tap0: 1 of 1 peer up; not reloaded: no file')
})
