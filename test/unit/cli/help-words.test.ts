import { execFileSync } from 'node:child_process'
import t from 'tap'
import { wordsOf } from '../../../src/cli/help-words.js'
import { PROGRAM } from '../../support/program.js'

t.test('help for a command of a command is that command with --help', async (t) => {
  t.same(wordsOf(['help', 'network', 'sign']), ['network', 'sign', '--help'])
  for (const words of [[], ['help'], ['help', 'network'], ['help', '--', 'a'], ['start', 'help', 'me']])
    t.same(wordsOf(words), words)
  const shown = (...words: string[]) =>
    execFileSync(process.execPath, [PROGRAM, ...words], {
      encoding: 'utf8',
      env: { ...process.env, NODE_OPTIONS: '' },
    })
  t.match(shown('help', 'network', 'sign'), /^Usage: udptun-fast network sign /)
  t.match(shown('help', 'network'), /^Usage: udptun-fast network \[/)
})
