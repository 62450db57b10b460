import { stripVTControlCharacters } from 'node:util'
import stringWidth from 'string-width'
import t from 'tap'
import { render } from '../../../src/cli/status.js'
import { reportOf } from './top/report.js'

t.test('tables of routes and the mark are shown if there are any', async (t) => {
  t.notMatch(render(reportOf()), /routes in table|mark/)
  t.match(
    render(reportOf({ tables: [254, 51_820], fwmark: 51_820 })),
    /^routes in table main, 51820 {2}mark 0xca6c$/m,
  )
  t.match(render(reportOf({ fwmark: 7 })), /^mark 0x7$/m)
  t.match(
    render(reportOf({ device: 'tun7', tables: [254], missing_routes: ['10.77.0.0/16', 'fd77::/48'] })),
    /^routes in table main\nno route leads to tun7 for 10\.77\.0\.0\/16, fd77::\/48$/m,
  )
})

t.test('a peer source: whether it answers, since when, whom it knows, and what was refused', async (t) => {
  t.notMatch(render(reportOf({ discovery: null })), /etcd/)
  const discovery = {
    source: 'etcd',
    state: 'connected',
    since_s: 7_200,
    trouble: null,
    endpoint: 'https://192.0.2.9:2379',
    revision: '7',
    requests: 3,
    members: { known: 5, present: 4 },
    refused: { malformed: 0, foreign: 0, unsigned: 0, forged: 2, old: 1, no_room: 0 },
  } as const
  t.match(
    render(reportOf({ discovery })),
    /^etcd in touch at https:\/\/192.0.2.9:2379 for 2 h 0 min {2}5 members {2}refused: 2 forged, 1 old$/m,
  )
  const away = { ...discovery, state: 'away', trouble: 'it cannot be reached' } as const
  t.match(
    render(reportOf({ discovery: away })),
    /^etcd away for 2 h 0 min it cannot be reached {2}5 members/m,
  )
})

t.test('no line is wider than a narrow terminal, also with rates', async (t) => {
  const report = reportOf({ drops: { ...reportOf().drops, runt: 3 } })
  const later = { ...report, uptime_s: report.uptime_s + 1 }
  for (const before of [undefined, report]) {
    const lines = stripVTControlCharacters(render(later, before, 40)).split('\n')
    t.same(
      lines.filter((line) => stringWidth(line) > 40),
      [],
    )
    t.match(lines.join('\n'), /^worker .*ring it fills\n.*\n.*\nnot shown in 40 columns: /m)
  }
})
