/** What the program says of a mistake on its command line. Nothing is started or asked. */
import { spawnSync } from 'node:child_process'
import t from 'tap'
import { PROGRAM } from '../../support/program.js'

/** The words, and what is said of them. */
const MISTAKES: readonly (readonly [words: string, says: string])[] = [
  ['status --nonsense', "unknown option '--nonsense'; see udptun-fast status --help"],
  ['network sign f --name a --nonsense', "unknown option '--nonsense'; see udptun-fast network sign --help"],
  ['network bogus', "unknown command 'bogus'; see udptun-fast network --help"],
  ['bogus', "unknown command 'bogus'; see udptun-fast --help"],
  ['help bogus', "unknown command 'bogus'; see udptun-fast --help"],
  ['help network bogus', "unknown command 'bogus'; see udptun-fast network --help"],
  ['network help bogus', "unknown command 'bogus'; see udptun-fast network --help"],
  ['invite', "missing required argument 'name'; see udptun-fast invite --help"],
  [
    'invite bad!',
    '"bad!" is not a member\'s name; use 1 to 63 letters, digits and hyphens, such as alice, and not localhost',
  ],
  ['invite zed --hours abc', '"abc" is not a time; give hours, from a part of one to 8760'],
]

const { NODE_OPTIONS: _, ...env } = process.env

t.test('each mistake is one sentence that leads to the right help, with exit code 2', async (t) => {
  for (const [words, says] of MISTAKES) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...words.split(' ')], {
      env,
      encoding: 'utf8',
    })
    t.same([status, stdout, stderr], [2, '', `udptun-fast: ${says}\n`], words)
  }
})
