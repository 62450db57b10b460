import t from 'tap'
import type { PeerState } from '../../../src/control/peer/liveness.js'
import type { RosterPeer } from '../../../src/control/peer/roster.js'
import { StrangerWatch } from '../../../src/control/stranger-watch.js'
import { AF_INET6 } from '../../../src/linux/constants.js'
import { type Endpoint, encodeSockaddr } from '../../../src/linux/sockaddr.js'

/** A watch over one peer, whose name has two addresses; looks once a second at what has come since. */
function watch() {
  const peer = {
    name: 'b',
    state: 'new' as PeerState,
    endpoint: { address: '192.0.2.2', port: 5149 },
    addresses: ['192.0.2.2', '192.0.2.9'],
  }
  const said: string[] = []
  let waiting: Uint8Array | undefined
  const take = () => {
    const taken = waiting
    waiting = undefined
    return taken
  }
  const all = [peer as unknown as RosterPeer]
  const roster = { all, get: () => all[0] }
  const it = new StrangerWatch({ take }, roster, {
    warn: (_: object, text: string) => said.push(text),
  } as never)
  let nowMs = 0
  const second = (from?: Endpoint) => {
    if (from !== undefined) waiting = encodeSockaddr(AF_INET6, from)
    nowMs += 1_000
    it.look(nowMs)
  }
  return { peer, said, second }
}

const OTHER = { address: '192.0.2.9', port: 5149 }

t.test('what a host of a peer sends from elsewhere is told once', async (t) => {
  const { said, second } = watch()
  for (let i = 0; i < 10; i++) second(OTHER)
  for (let i = 0; i < 10; i++) second({ address: '192.0.2.2', port: 40_000 })
  t.equal(said.length, 2)
  t.match(said[0], /192\.0\.2\.9:5149 .* host of b, .* at 192\.0\.2\.2:5149; let it send from 192\.0\.2\.2/)
  t.match(said[1], /192\.0\.2\.2:40000 .* host of b, .* from port 5149/)
})

t.test('it is told of one datagram only if nothing else comes from the peer', async (t) => {
  for (const state of ['new', 'up'] as const) {
    const { peer, said, second } = watch()
    second(OTHER)
    peer.state = state
    for (let i = 0; i < 10; i++) second()
    t.equal(said.length, state === 'new' ? 1 : 0, state)
  }
})

t.test('of others nothing is told, and of many hosts not without end', async (t) => {
  const { said, second } = watch()
  second({ address: '198.51.100.7', port: 5149 })
  for (let i = 0; i < 5; i++) second()
  t.same(said, [])
  for (let port = 1; port < 100; port++) second({ address: '192.0.2.9', port })
  t.equal(said.length, 16)
})
