import t from 'tap'
import { SaidOnce } from '../../../src/control/said-once.js'

/** Says sentences, and gives what was logged. */
function logged(most: number | undefined, ...sentences: readonly string[]): string[] {
  const lines: string[] = []
  const once = new SaidOnce(
    {
      warn: (text: string) => lines.push(`warn ${text}`),
      info: (text: string) => lines.push(`info ${text}`),
    } as never,
    most,
  )
  for (const sentence of sentences) once.say(sentence, sentence.startsWith('i') ? 'info' : undefined)
  return lines
}

t.test('a sentence is logged once, a warning unless the caller says otherwise', async (t) => {
  t.same(logged(undefined, 'a', 'i', 'a', 'i', 'b'), ['warn a', 'info i', 'warn b'])
})

t.test('no more are logged than may be', async (t) => {
  t.same(logged(2, 'a', 'a', 'b', 'c', 'd'), ['warn a', 'warn b'])
})

t.test('one teller does not silence another one', async (t) => {
  const lines: string[] = []
  const once = new SaidOnce({ warn: (text: string) => lines.push(text), info: t.fail } as never, 2)
  for (const sentence of ['a', 'b', 'c', 'd']) once.say(sentence, 'warn', 'alice')
  for (const sentence of ['d', 'e', 'f']) once.say(sentence, 'warn', 'bob')
  t.same(lines, ['a', 'b', 'd', 'e'])
})
