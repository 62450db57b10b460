import t from 'tap'
import { explain } from '../../../src/cli/invite.js'
import type { InviteReport } from '../../../src/control/members/inviter.js'

const REPORT: InviteReport = {
  network: 'office',
  name: 'alice',
  until: '2026-11-29T09:00:00.000Z',
  addresses: ['10.9.0.2/24'],
  groups: [],
  endpoints: ['192.168.1.1:5149'],
  text: 'udptun.x',
  wireguard: false,
  replaced: false,
  waits_for_signature: false,
  was_member: false,
  is_private: true,
}

t.test('whoever has given an endpoint is not told to give one', async (t) => {
  t.match(explain(REPORT, false).at(-1), /if alice is outside, give --endpoint\.$/)
  t.match(explain(REPORT, true).at(-1), /^\S+ Only hosts of this site reach what --endpoint says; alice must/)
  t.notMatch(explain({ ...REPORT, is_private: false }, false).join('\n'), /this site/)
  t.notMatch(explain({ ...REPORT, is_private: false }, true).join('\n'), /this site/)
})
