import { stripVTControlCharacters } from 'node:util'
import stringWidth from 'string-width'
import t from 'tap'
import { press } from '../../../../src/cli/top/keys.js'
import { advance, firstState, type TopState } from '../../../../src/cli/top/model.js'
import { drawScreen } from '../../../../src/cli/top/screen.js'
import { roomIn, type Size } from '../../../../src/cli/top/size.js'
import { fit, sparkline } from '../../../../src/cli/top/text.js'
import { peerOf, reportOf } from './report.js'

t.test('bars are relative to the greatest; what is not known has none', async (t) => {
  t.equal(sparkline([0, 1, 50, 100], 4), '▁▂▅█')
  t.equal(sparkline([Number.NaN, 0, 0], 5), '   ▁▁')
  t.equal(sparkline([9, 1, 1], 2), '██')
  t.equal(sparkline([1], 0), '')
})

t.test('a text is cut or filled to so many columns', async (t) => {
  t.equal(fit('abc', 5), 'abc  ')
  t.equal(fit('abc', 5, 'right'), '  abc')
  t.equal(fit('abcdef', 4), 'abc…')
  t.equal(stringWidth(fit('日本語日本語', 6)), 6, 'signs that are two columns wide')
})

const many = Array.from({ length: 256 }, (_, index) =>
  peerOf(`p${index}${index === 3 ? '-of-a-very-long-name'.repeat(10) : ''}`),
)

function stateOf(peers: typeof many): TopState {
  const later = peers.map((peer) => ({ ...peer, outbound: { frames: 10, bytes: 1e6, dropped: 1 } }))
  const drops = { foreign: 7, runt: 2, storm: 1, too_big: 1, replayed: 5, not_private: 1 }
  return advance(firstState(reportOf({ peers })), reportOf({ uptime_s: 2, peers: later, drops }))
}

function pressed(state: TopState, ...names: string[]): TopState {
  return pressedIn({ columns: 80, rows: 23 }, state, ...names)
}

/** @param room what the view has of the screen */
function pressedIn(room: Size, state: TopState, ...names: string[]): TopState {
  return names.reduce((now, name) => press(now, { name, sequence: name }, room) as TopState, state)
}

const drawn = (state: TopState, columns: number, rows: number) =>
  drawScreen(state, { columns, rows }).map((line) => stripVTControlCharacters(line))

t.test('a screen of any size is filled, and never overfull', async (t) => {
  const state = stateOf(many)
  for (const view of [
    state,
    pressed(state, 'return'),
    pressed(state, '?'),
    stateOf([]),
    stateOf(many.slice(3, 4)),
  ])
    for (const [columns, rows] of [
      [80, 24],
      [200, 50],
      [40, 10],
      [12, 4],
      [1, 1],
    ]) {
      const lines = drawn(view, columns, rows)
      t.equal(lines.length, rows, `${columns} × ${rows}, ${view.view}`)
      t.same(
        lines.filter((line) => stringWidth(line) > columns),
        [],
      )
    }
})

t.test('at 80 columns there is everything that matters', async (t) => {
  const text = drawn(stateOf(many), 80, 24).join('\n')
  t.match(text, /^tap0 tap {2}10\.9\.0\.1\/24 {2}MTU 1458 {2}up 2 s$/m)
  t.match(text, /^256 peers: 256 up {2}the kernel carries 256 of 256 {2}not private$/m)
  t.match(text, /^foreign +7 +7 +from a sender that is no peer *$/m)
  t.match(text, /^and 4 more reasons$/m)
  t.match(text, /^> p0 .* up +kernel +1500 +8\.00 M +0 +1$/m)
  t.match(text, /^tap +0 .* 0 %, most 24 %$/m)
})

t.test('the list scrolls with the chosen peer', async (t) => {
  const state = pressed(stateOf(many), 'n')
  t.match(drawn(state, 80, 24).join('\n'), /^peers 1 to \d+ of 256, by name$/m)
  const last = drawn(pressed(state, 'end'), 80, 24).join('\n')
  t.match(last, /^peers \d+ to 256 of 256, by name$/m)
  t.match(last, /^> p255 /m)
})

t.test('a wide screen has more columns', async (t) => {
  const head = (columns: number) =>
    drawn(stateOf(many), columns, 50).find((line) => /^ {2}peer /.test(line)) ?? ''
  t.notMatch(head(80), /in frames\/s/)
  t.match(head(200), /out frames\/s +in frames\/s +dropped +heard +round trip +bit\/s, both ways$/)
})

t.test('the details have all that is wrong, and the whole name', async (t) => {
  const name = 'long-name'.repeat(12)
  const peer = peerOf(name, { state: 'new', trouble: 'host-b has no address', endpoint: null })
  const lines = drawn(pressed(stateOf([peer]), 'return'), 80, 24)
  t.ok(lines.join('').includes(name))
  t.ok(lines.some((line) => line.startsWith('! not found yet: host-b has no address')))
})

t.test('details that are longer than the screen are scrolled, to their ends and not further', async (t) => {
  const trouble = Array.from({ length: 60 }, (_, index) => `reason-${index}`).join(' ')
  const long = peerOf('long', { trouble })
  const small = { columns: 40, rows: 12 }
  const press = (state: TopState, ...keys: string[]) => pressedIn(roomIn(small), state, ...keys)
  const seen = (state: TopState) => drawn(state, small.columns, small.rows)
  const top = press(stateOf([long, peerOf('other')]), 'n', 'home', 'return')
  t.match(seen(top)[0], /^tap0 /)
  t.match(seen(top).at(-1), /^page down: \d+ more {2}q quit/)
  const end = press(top, 'end')
  t.match(seen(end).join('\n'), /reason-59/)
  t.match(seen(end).at(-1), /^page up: \d+ more {2}q quit/)
  t.equal(press(end, 'pagedown', 'space').scrolled, end.scrolled, 'no further than the end')
  t.same(seen(press(end, 'home')), seen(top))
  t.match(seen(press(top, 'pagedown')).at(-1), /^page up: 6 more {2}page down: \d+ more/)
  t.same(seen(press(top, 'space', 'pageup')), seen(top), 'up as far as down')
  t.equal(press(end, 'down').chosen, 'other')
  t.equal(press(end, 'down').scrolled, 0, 'another peer is shown from its beginning')
  t.equal(press(end, 'return', 'return').scrolled, 0)
  t.equal(drawn(end, 40, 200).at(-1)?.startsWith('q quit'), true, 'on a screen with room for all')
  t.match(drawn(end, 40, 200)[0], /^tap0 /)
})
