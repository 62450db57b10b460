import t from 'tap'
import { readResults } from '../../support/tap-results.js'

const FAILED = `TAP version 14
# Subtest: one
    ok 1 - fine
    not ok 2 - they are the same
      ---
      diff: |
        --- expected
        +++ actual
        -2
        +1
      at:
        fileName: test/a.test.ts
        lineNumber: 7
      ...
    1..2
not ok 1 - one

ok 2 - two
1..2
`

const PASSED = `TAP version 14
# Subtest: one
    ok 1 - fine
    1..1
ok 1 - one

1..1
`

t.test('named tests are counted, and what failed is told', async (t) => {
  t.same(readResults('a.test.js', FAILED, false), {
    passed: 1,
    failed: 1,
    failures: [
      'a.test.js > one > they are the same (test/a.test.ts:7)\n    --- expected\n    +++ actual\n    -2\n    +1',
    ],
  })
  t.same(readResults('b.test.js', PASSED, true), { passed: 1, failed: 0, failures: [] })
})

t.test('a failure in a compiled file is told by the line of its source', async (t) => {
  const map = { version: 3, sources: ['../a.test.ts'], names: [], mappings: 'AAAA;AAEA' }
  const folder = t.testdir({ out: { 'a.test.js.map': JSON.stringify(map) } })
  const tap = FAILED.replace('test/a.test.ts', `${folder}/out/a.test.js`).replace(': 7', ': 2')
  t.match(readResults('a.test.js', tap, false).failures, [`(${folder}/a.test.ts:3)`])
})

t.test('a file that broke off has failed, though each of its tests passed', async (t) => {
  const withoutPlan = PASSED.replace(/\n1\.\.1\n$/, '')
  for (const [tap, wentWell] of [
    [PASSED, false],
    [withoutPlan, true],
    ['', true],
  ] as const)
    t.match(readResults('c.test.js', tap, wentWell), { failed: 1, failures: [/broke off/] })
})
