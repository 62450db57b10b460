import fc from 'fast-check'
import t from 'tap'
import { hostLines, withBlock, withoutBlock } from '../../../src/host/hosts-block.js'

const LABEL = 'udptun-fast tap0 4711 office.internal'
const LINES = ['10.9.0.2\talice.office.internal', 'fd00::2\talice.office.internal']
const BLOCK = `# BEGIN ${LABEL}\n${LINES.join('\n')}\n# END ${LABEL}\n`
const FILE = '127.0.0.1\tlocalhost\r\n\n# a comment\n10.9.0.9\tx.office.internal\n'

t.test('a block is added, replaced and removed, and all else stays', async (t) => {
  const text = withBlock(FILE, LABEL, LINES)
  t.equal(text, FILE + BLOCK)
  t.equal(withBlock(text, LABEL, LINES), text)
  const [first] = LINES
  t.equal(withBlock(text, LABEL, [first]), `${FILE}# BEGIN ${LABEL}\n${first}\n# END ${LABEL}\n`)
  t.equal(withBlock(text, LABEL, []), FILE)
  t.equal(withoutBlock(text, LABEL), FILE)
  t.equal(withBlock('', LABEL, LINES), BLOCK)
  t.equal(withBlock('127.0.0.1 localhost', LABEL, LINES), `127.0.0.1 localhost\n${BLOCK}`, 'no end of line')
})

t.test('two tunnels have two blocks', async (t) => {
  const other = LABEL.replace('4711', '4712')
  const both = withBlock(withBlock(FILE, LABEL, LINES), other, LINES)
  t.equal(withoutBlock(both, LABEL), withBlock(FILE, other, LINES))
})

t.test('a damaged block', async (t) => {
  const cases: [string, string, string][] = [
    ['no end', BLOCK.replace(`# END ${LABEL}\n`, ''), ''],
    ['no beginning', `# END ${LABEL}\n`, ''],
    ['a line of a person in it', BLOCK.replace('fd00', '::1 loop\nfd00'), '::1 loop\n'],
    ['with CR', BLOCK.replaceAll('\n', '\r\n'), ''],
    ['twice', BLOCK + BLOCK, ''],
  ]
  for (const [what, block, left] of cases) t.equal(withoutBlock(FILE + block, LABEL), FILE + left, what)
})

t.test('any file is as it was, but for an end of its last line', async () => {
  const text = fc.array(fc.constantFrom('#', '\n', '\t', '\r', 'a', 'é', '# BEGIN x\n'), { maxLength: 40 })
  fc.assert(
    fc.property(text, (parts) => {
      const file = parts.join('')
      const back = withoutBlock(withBlock(file, LABEL, LINES), LABEL)
      return back === file || back === `${file}\n`
    }),
  )
})

t.test('names that would stand for something else get no line, and a sentence', async (t) => {
  const hosts = ['alice', 'ALICE', 'localhost', 'me', 'a.b', '-a', 'host_b', '10.9.0.9:5149', 'b2'].map(
    (name) => ({
      name,
      addresses: ['10.9.0.2'],
    }),
  )
  const { lines, refused } = hostLines(hosts, 'office.internal', 'Me.example.net')
  t.same(lines, ['10.9.0.2\talice.office.internal', '10.9.0.2\tb2.office.internal'])
  t.equal(refused.length, 7)
  t.match(refused, [
    /"ALICE" has no name in \/etc\/hosts, because another peer is called so; give it another name/,
    /"localhost" .*means this host everywhere/,
    /"me" .*this host is called so/,
    /"a\.b" .*not one label/,
  ])
})
