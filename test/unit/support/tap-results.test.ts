import t from 'tap'
import { readResults } from '../../support/tap-results.js'

const TAP = `TAP version 14
# Subtest: a.test.js
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
not ok 1 - a.test.js

# Subtest: b.test.js
    ok 1 - one
    1..1
ok 2 - b.test.js

# Subtest: c.test.js
    ok 1 - one
not ok 3 - c.test.js

1..3
`

t.test('named tests are counted by file, and what failed is told', async (t) => {
  const results = readResults(TAP)
  t.match(results.get('a.test.js'), { passed: 1, failed: 1 })
  t.same(results.get('a.test.js')?.failures, [
    'a.test.js > one > they are the same (test/a.test.ts:7)\n    --- expected\n    +++ actual\n    -2\n    +1',
  ])
  t.match(results.get('b.test.js'), { passed: 1, failed: 0, failures: [] })
})

t.test('a file that broke off has failed, though each of its tests passed', async (t) => {
  t.match(readResults(TAP).get('c.test.js'), { passed: 1, failed: 1 })
})
