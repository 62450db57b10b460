import t from 'tap'
import { filledIn, parsePage } from '../../../support/docs/page.js'

const block = (info: string, ...lines: string[]) => ['```'.concat(info), ...lines, '```', ''].join('\n')

t.test('a page is what its reader does, in order', async (t) => {
  const page = [
    '# A page\n',
    block('text', 'a picture'),
    'Words.\n',
    block('sh on=a,b', 'one', 'two'),
    block('yaml on=a file=/etc/x.yaml mode=600', 'local: []'),
    block('sh on=b prints=key-of-b', 'three'),
    block('console on=a', '$ four', 'answer', '…', '$ five'),
    block('console on=a exit=7', '$ fails'),
    block('sh not-run="it cannot"', 'six'),
  ].join('\n')
  t.same(parsePage(page), {
    steps: [
      { kind: 'run', host: 'a', line: 9, script: 'one\ntwo', prints: undefined },
      { kind: 'run', host: 'b', line: 9, script: 'one\ntwo', prints: undefined },
      { kind: 'file', host: 'a', line: 14, path: '/etc/x.yaml', mode: '600', text: 'local: []\n' },
      { kind: 'run', host: 'b', line: 18, script: 'three', prints: 'key-of-b' },
      { kind: 'see', host: 'a', line: 22, command: 'four', printed: ['answer', '…'], exit: 0 },
      { kind: 'see', host: 'a', line: 22, command: 'five', printed: [], exit: 0 },
      { kind: 'see', host: 'a', line: 29, command: 'fails', printed: [], exit: 7 },
    ],
    notRun: [{ why: 'it cannot', text: 'six' }],
  })
})

t.test('a block that does not say what it is for is an error: none is left out in silence', async (t) => {
  const wrong = (markdown: string) => {
    try {
      parsePage(markdown)
      return 'nothing'
    } catch (error) {
      return (error as Error).message
    }
  }
  t.equal(wrong(`\n\n${block('sh', 'x')}`), 'line 3: the block "sh" does not say on which host, with on=')
  t.match(wrong(block('', 'x')), /does not say on which host/)
  t.match(wrong(block('yaml on=a', 'x')), /neither commands nor a file/)
  t.match(wrong(block('sh on=a onto=b', 'x')), /unknown setting, onto/)
  t.match(wrong(block('sh a', 'x')), /not written as name=value/)
  t.match(wrong(block('console on=a', 'x')), /does not begin with a command/)
  t.match(wrong('* a list\n\n  ```sh on=a\n  x\n  ```\n'), /line 1: a block inside of something else/)
})

t.test('names in angle brackets are filled in, if something was printed for them', async (t) => {
  const values = new Map([['key-of-b', 'abc=']])
  t.equal(filledIn('public_key: <key-of-b> <other>', values), 'public_key: abc= <other>')
})
