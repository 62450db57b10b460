import { readFileSync } from 'node:fs'
import { lexer, type Tokens } from 'marked'
import t from 'tap'
import { LINE_LOSSES } from '../../src/control/faults.js'
import { peerFamilies } from '../../src/observe/peer-metrics.js'
import { tunnelFamilies } from '../../src/observe/tunnel-metrics.js'
import { longSentences, MAX_WORDS } from '../support/prose.js'
import { HEALTHY, sampleStatus } from '../support/status-sample.js'

/** The reasons in a table of README: every name in code in its first column, whose head is `head`. */
function reasonsInReadme(head: string): string[] {
  const tokens = lexer(readFileSync('README.md', 'utf8'))
  const tables = tokens.filter((it): it is Tokens.Table => it.type === 'table')
  const table = tables.find(({ header }) => header[0].text === head)
  if (table === undefined) throw new Error(`README has no table whose first column is "${head}"`)
  return table.rows.flatMap(([reasons]) => [...reasons.text.matchAll(/`(\w+)`/g)].map(([, name]) => name))
}

t.test("README's table of lost lines has every reason that status can show, and no other", async (t) => {
  t.same(reasonsInReadme('lines lost').sort(), Object.keys(LINE_LOSSES).sort())
})

t.test("README's table of metrics has every metric with its labels, and no other", async (t) => {
  const tokens = lexer(readFileSync('README.md', 'utf8'))
  const table = tokens.find((it): it is Tokens.Table => it.type === 'table' && it.header[0].text === 'metric')
  const words = (text: string) => [...text.matchAll(/`(\w+)`/g)].map(([, word]) => word)
  const told = (table?.rows ?? []).flatMap(([names, labels]) =>
    words(names.text).map((name) => [name, ...words(labels.text)]),
  )
  const status = sampleStatus()
  const families = [...tunnelFamilies(status, HEALTHY, 0), ...peerFamilies(status.peers, 0)]
  t.same(told.sort(), families.map(({ name, labels }) => [name, ...labels]).sort())
})

t.test('a sentence that is too long is found, one that is not is left', async (t) => {
  const words = (count: number) => Array.from({ length: count }, (_, i) => `w${i}`).join(' ')
  t.same(longSentences(`${words(MAX_WORDS)}. ${words(MAX_WORDS)}.`), [])
  t.equal(longSentences(`${words(MAX_WORDS + 1)}.`)[0].words, MAX_WORDS + 1)
  t.equal(longSentences(`* ${words(5)}\n* ${words(MAX_WORDS + 2)}`)[0].words, MAX_WORDS + 2)
  t.equal(longSentences(`| a | b |\n| - | - |\n| x | ${words(40)} |`)[0].words, 40)
  t.same(longSentences(`\`\`\`\n${words(99)}\n\`\`\``), [], 'code is no sentence')
  t.same(longSentences(`Use \`${words(99)}\` for it.`), [], 'code in a line is one word')
})
