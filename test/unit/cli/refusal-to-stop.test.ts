import t from 'tap'
import { refusalToStop, type Started } from '../../../src/cli/refusal-to-stop.js'

const FOREGROUND: Started = { isQuick: false, wgDevice: undefined, isInBackground: false, service: undefined }

t.test('what this program ends itself, and what else ends a tunnel', async (t) => {
  const refusal = (started: Partial<Started>, pid?: number) =>
    refusalToStop({ ...FOREGROUND, ...started }, pid)
  const service = 'udptun-fast@office.service'
  t.equal(refusal({ isQuick: true }), undefined)
  t.equal(refusal({ isQuick: true, service }), undefined)
  t.equal(refusal({ isInBackground: true }), undefined)
  t.equal(refusal({ isInBackground: true, service }), undefined, 'a service has put it there')
  t.match(refusal({ service }, 17), /: systemctl stop udptun-fast@office$/)
  t.match(refusal({}, 17), /runs in the foreground.*Ctrl-C, or with: kill 17$/)
  t.match(refusal({}), /Ctrl-C$/, 'its process is not one of this host')
  // wg-quick, too, has put it into the background, and has set rules that only wg-quick knows.
  t.match(refusal({ wgDevice: 'wg0', isInBackground: true }), /: wg-quick down wg0,.*: ip link delete wg0$/)
})
