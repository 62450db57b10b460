import t from 'tap'
import { type Key, press } from '../../../../src/cli/top/keys.js'
import { advance, firstState, sortedPeers, type TopState } from '../../../../src/cli/top/model.js'
import { ratesBetween } from '../../../../src/cli/top/rates.js'
import { peerOf, reportOf } from './report.js'

const sent = (frames: number, bytes: number, dropped = 0) => ({ outbound: { frames, bytes, dropped } })

t.test('rates are means of the time between two reports', async (t) => {
  const before = reportOf({ uptime_s: 10, peers: [peerOf('b', sent(100, 1000))], drops: { foreign: 5 } })
  const now = reportOf({
    uptime_s: 12,
    outbound: { frames: 20, bytes: 500 },
    peers: [peerOf('b', sent(300, 2000, 4)), peerOf('new', sent(9, 9))],
    drops: { foreign: 9, runt: 2 },
  })
  const rates = ratesBetween(before, now)
  t.same(rates?.outbound, { frames: 10, bits: 2000 })
  t.equal(rates?.drops.foreign, 2)
  t.equal(rates?.dropped, 3)
  t.match(rates?.peers.get('b'), { outbound: { frames: 100, bits: 4000 }, dropped: 2 })
  t.notOk(rates?.peers.has('new'), 'a new peer has no rate yet')
})

t.test('no rate is negative, and a restart has none', async (t) => {
  const before = reportOf({ uptime_s: 10, outbound: { frames: 50, bytes: 50 } })
  t.equal(ratesBetween(before, reportOf({ uptime_s: 2 })), undefined, 'it is younger')
  t.equal(ratesBetween(before, reportOf({ uptime_s: 11, pid: 2 })), undefined, 'another process')
  t.same(ratesBetween(before, reportOf({ uptime_s: 11 }))?.outbound, { frames: 0, bits: 0 })
  const restarted = advance(firstState(before), reportOf({ uptime_s: 2 }))
  t.same(restarted.history.outbound, [Number.NaN])
})

const SCREEN = { columns: 80, rows: 23 }

const PEERS = [
  peerOf('p10', { state: 'silent', ...sent(9, 9000) }),
  peerOf('p2', { state: 'down', ...sent(5, 500, 7) }),
  peerOf('p1', sent(1, 1)),
]
const names = (state: TopState) => sortedPeers(state).map(({ name }) => name)

function busy(): TopState {
  const idle = PEERS.map(({ name }) => peerOf(name))
  return advance(firstState(reportOf({ peers: idle })), reportOf({ uptime_s: 2, peers: PEERS }))
}

function pressed(state: TopState, ...keys: readonly Key[]): TopState {
  return keys.reduce((now, key) => {
    const next = press(now, key, SCREEN)
    if (typeof next === 'string') throw new Error(`the key has led to ${next}`)
    return next
  }, state)
}

t.test('keys sort the peers; the chosen one stays chosen', async (t) => {
  const state = busy()
  t.same(names(state), ['p10', 'p2', 'p1'], 'by rate')
  t.equal(state.chosen, 'p1', 'the first one when it began')
  t.same(names(pressed(state, { name: 'n' })), ['p1', 'p2', 'p10'], 'by name, numbers as numbers')
  t.same(names(pressed(state, { name: 's' })), ['p2', 'p10', 'p1'], 'the worst first')
  t.same(names(pressed(state, { name: 'd' })), ['p2', 'p1', 'p10'], 'by drops')
  t.equal(pressed(state, { name: 'd' }).chosen, 'p1')
})

t.test('keys choose a peer, and stay within the list', async (t) => {
  const state = pressed(busy(), { name: 'n' })
  const chosen = (...keys: string[]) => pressed(state, ...keys.map((name) => ({ name }))).chosen
  t.equal(chosen('down'), 'p2')
  t.equal(chosen('up'), 'p1')
  t.equal(chosen('pagedown'), 'p10')
  t.equal(chosen('end', 'k'), 'p2')
  t.equal(chosen('end', 'home'), 'p1')
  const none = firstState(reportOf())
  t.equal(pressed(none, { name: 'down' }).chosen, undefined)
  t.equal(pressed(none, { name: 'return' }).view, 'list')
})

t.test('keys show details and help, and end it', async (t) => {
  const state = busy()
  t.equal(pressed(state, { name: 'return' }).view, 'details')
  for (const name of ['return', 'escape', 'backspace'])
    t.equal(pressed(state, { name: 'return' }, { name }).view, 'list', name)
  t.equal(pressed(state, { sequence: '?' }).view, 'help')
  t.equal(pressed(state, { sequence: '?' }, { name: 'x' }).view, 'list')
  t.equal(press(state, { name: 'q' }, SCREEN), 'quit')
  t.equal(press(state, { name: 'c', ctrl: true }, SCREEN), 'quit')
  t.equal(press(state, { name: 'z', ctrl: true }, SCREEN), 'suspend')
  t.equal(press(state, { sequence: '%' }, SCREEN), state)
})

t.test('when the chosen peer is removed, the one in its place is chosen', async (t) => {
  const state = pressed(busy(), { name: 'n' }, { name: 'end' })
  const next = advance(state, reportOf({ uptime_s: 3, peers: PEERS.slice(1) }))
  t.equal(next.chosen, 'p2')
  t.notOk(next.peerHistory.has('p10'))
  t.equal(advance(next, reportOf({ uptime_s: 4 })).chosen, undefined)
})
