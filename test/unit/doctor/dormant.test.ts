import { execFileSync } from 'node:child_process'
import t from 'tap'
import { withoutDormant } from '../../../src/doctor/dormant.js'
import { fateOf } from '../../../src/doctor/ruleset.js'

/** What nft prints of a ruleset that it was given, in a namespace of its own. */
function printed(rules: string): { ruleset: unknown[]; text: string } {
  const nft = (...args: string[]) => `nft ${args.join(' ')} list ruleset`
  const script = `nft -f - && ${nft('-j')} && echo === && ${nft('-t')}`
  const output = execFileSync('unshare', ['-n', 'sh', '-c', script], { encoding: 'utf8', input: rules })
  const [json, text] = output.split('===\n')
  return { ruleset: JSON.parse(json).nftables, text }
}

const table = (name: string, flags: string) => `table inet ${name} {
  ${flags}
  set s { type inet_service; flags interval; elements = { 1-9 } }
  chain in {
    type filter hook input priority 0; policy drop;
    udp dport 1 drop
  }
}
`

const fate = ({ ruleset, text }: { ruleset: unknown[]; text: string }) =>
  fateOf(withoutDormant(ruleset, text), {
    hook: 'input',
    family: 'ipv4',
    destinationPort: 5149,
    state: 'new',
  })

t.test('a table that is dormant does not count', async (t) => {
  t.same(fate(printed(table('t', 'flags dormant'))).dropped, 'no')
  t.same(fate(printed(table('t', 'comment "flags dormant"; flags dormant'))).dropped, 'no')
})

t.test('other tables do', async (t) => {
  t.equal(fate(printed(table('t', ''))).dropped, 'yes')
  t.equal(fate(printed(table('t', 'comment "flags dormant"'))).dropped, 'yes')
  t.equal(fate(printed(table('t', 'flags dormant') + table('u', ''))).chain, 'inet u in')
})

t.test('flags with others, and without the text', async (t) => {
  const { ruleset, text } = printed(table('t', ''))
  const flagged = text.replace('{\n', '{ # progname fw\n\tflags owner,dormant\n')
  t.equal(fate({ ruleset, text: flagged }).dropped, 'no')
  t.equal(fate({ ruleset, text: '' }).dropped, 'yes')
})
