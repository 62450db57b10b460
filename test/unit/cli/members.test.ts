import { stripVTControlCharacters } from 'node:util'
import t from 'tap'
import { commandsToSign, renderMembers } from '../../../src/cli/members.js'
import { reportInvitations } from '../../../src/control/members/report.js'

const LINE = {
  name: 'bob',
  publicKey: '',
  presharedKey: '',
  addresses: ['10.9.0.3'],
  groups: [],
  untilMs: 3_600_000,
  usedBy: undefined,
  isWithdrawn: false,
}

t.test('members shows until when somebody is invited', async (t) => {
  const open = reportInvitations([LINE])
  const shown = stripVTControlCharacters(renderMembers(open, 0))
  t.match(shown, /^bob .*10\.9\.0\.3 .* invited until 1970-01-01T01:00:00\.000Z /m)
  t.same(commandsToSign(open), [], 'there is nothing to sign yet')
})
