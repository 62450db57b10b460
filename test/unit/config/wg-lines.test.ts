import t from 'tap'
import { headingOf, linesOf, squeezed, squeezedText } from '../../../src/config/wg-lines.js'

const linesIn = (text: string) => [...linesOf(Buffer.from(text))].map(([number, line]) => [number, `${line}`])

t.test('lines keep their numbers; empty ones and comments are left out', async (t) => {
  t.same(linesIn('one\n\n  two # of them\r\n# nothing\n\t\nthree=#\n'), [
    [1, 'one'],
    [3, 'two'],
    [6, 'three='],
  ])
  t.same(linesIn('no newline at the end'), [[1, 'no newline at the end']])
  t.same(linesIn('\n\nlast'), [[3, 'last']])
  t.same(linesIn(''), [])
  t.same(linesIn('\n#\n \n'), [])
})

t.test('a line lies in the memory of the file, so that who wipes the file wipes the line', async (t) => {
  const file = Buffer.from(' key = secret # of mine\n')
  const [[, line]] = [...linesOf(file)]
  const kept = squeezed(line)
  t.equal(`${kept}`, 'key=secret')
  file.fill(0)
  t.same(line, Buffer.alloc(12))
  t.same(kept, Buffer.alloc(10))
})

t.test('a heading is in brackets, whatever its case and white space', async (t) => {
  const headingIn = (text: string) => headingOf(Buffer.from(text))
  t.equal(headingIn('[Interface]'), 'interface')
  t.equal(headingIn('[ pe ER\t]'), 'peer')
  t.equal(headingIn('[]'), '')
  for (const none of ['Interface', '[Interface', 'Interface]', 'a [b]', '[a] b', ''])
    t.equal(headingIn(none), undefined, none)
})

t.test('all white space goes, also that within', async (t) => {
  t.equal(squeezedText(Buffer.from(' 10.9. 0.2/32 ,\t::/0\v\f\r')), '10.9.0.2/32,::/0')
  t.equal(squeezedText(Buffer.from(' \t')), '')
  t.equal(squeezedText(Buffer.from('hôte')), 'hôte')
})
