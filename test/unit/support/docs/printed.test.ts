import t from 'tap'
import { matches, plainText } from '../../../support/docs/printed.js'

t.test('what is shown is what is printed', async (t) => {
  t.ok(matches([], ''))
  t.ok(matches(['a', 'b'], 'a  \nb\n\n'))
  t.notOk(matches([], 'a'))
  t.notOk(matches(['a'], ''))
  t.notOk(matches(['a'], 'a\nb'))
  t.notOk(matches(['b', 'a'], 'a\nb'))
})

t.test('an ellipsis stands for any part of a line, or any number of lines', async (t) => {
  t.ok(matches(['time=… ms'], 'time=0.05 ms'))
  t.notOk(matches(['time=… ms'], 'time=0.05 s'))
  t.notOk(matches(['a…b'], 'a\nb'))
  t.ok(matches(['…', 'b', '…'], 'a\na\nb\n'))
  t.ok(matches(['…', 'b'], 'b'))
  t.notOk(matches(['…', 'c', '…'], 'a\nb'))
})

t.test('all other signs stand for themselves', async (t) => {
  t.ok(matches(['1.2 (x) [y] $'], '1.2 (x) [y] $'))
  t.notOk(matches(['1.2'], '1x2'))
})

t.test("a terminal's colours and carriage returns are not text", async (t) => {
  t.equal(plainText('\u001b[1mup\u001b[22m\r\n'), 'up\n')
})
