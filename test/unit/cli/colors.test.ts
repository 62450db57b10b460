import { execa } from 'execa'
import t from 'tap'
import { wantsColors } from '../../../src/cli/colors.js'
import { PROGRAM } from '../../support/program.js'

t.test('only a terminal gets colours, unless the environment says otherwise', async (t) => {
  const cases: [boolean, NodeJS.ProcessEnv, boolean][] = [
    [true, {}, true],
    [true, { TERM: 'xterm' }, true],
    [true, { TERM: 'dumb' }, false],
    [true, { NO_COLOR: '1' }, false],
    [true, { NO_COLOR: '' }, true],
    [true, { FORCE_COLOR: '0' }, false],
    [false, {}, false],
    [false, { CI: 'true' }, false],
    [false, { FORCE_COLOR: '1' }, true],
    [false, { FORCE_COLOR: '1', NO_COLOR: '1' }, false],
  ]
  for (const [terminal, env, expected] of cases)
    t.equal(
      wantsColors(terminal, env),
      expected,
      `${terminal ? 'a terminal' : 'a pipe'}, ${JSON.stringify(env)}`,
    )
})

t.test('what goes into a pipe has no colours where CI is set', async (t) => {
  const { exitCode, stderr } = await execa(process.execPath, [PROGRAM, 'start', 'nonsense'], {
    reject: false,
    env: { CI: 'true', NO_COLOR: undefined, FORCE_COLOR: undefined },
  })
  t.equal(exitCode, 2)
  t.match(stderr, /^udptun-fast: /)
})
