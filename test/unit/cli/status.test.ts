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
})
