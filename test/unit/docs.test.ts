/** What the pages in docs/ promise beside what test/docs runs of them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { lexer, type Token, type Tokens, walkTokens } from 'marked'
import t from 'tap'
import { PEER_STATES } from '../../src/control/peer/liveness.js'
import { DROP_REASONS, KERNEL_DROP_REASONS } from '../../src/control/status.js'
import { CAPABILITIES } from '../../src/doctor/facts.js'

const PAGES = readdirSync('docs').filter((name) => name.endsWith('.md'))

/** Pages without commands. */
const ONLY_WORDS = ['README.md', 'nat.md', 'which-tool-when.md']

const read = (page: string) => lexer(readFileSync(join('docs', page), 'utf8'))

/** The names in code in the first column of the table of troubleshooting.md whose head is `head`. */
function namesIn(head: string): string[] {
  const tables = read('troubleshooting.md').filter((it): it is Tokens.Table => it.type === 'table')
  const table = tables.find(({ header }) => header[0].text === head)
  return (table?.rows ?? []).flatMap(([first]) =>
    [...first.text.matchAll(/`([\w.*]+)`/g)].map(([, name]) => name),
  )
}

t.test('every page is in the index, and every page with commands has a test that runs them', async (t) => {
  const index = readFileSync('docs/README.md', 'utf8')
  for (const page of PAGES) {
    if (page !== 'README.md') t.ok(index.includes(`](${page})`), `${page} is in the index`)
    const hasBlocks = read(page).some((it) => it.type === 'code')
    t.equal(hasBlocks, !ONLY_WORDS.includes(page), page)
    // The kernel of the usual tests has no IPsec, for example.
    const tests = [
      `test/docs/${page.replace(/md$/, 'test.ts')}`,
      `test/kernels/checks/${page.replace(/md$/, 'ts')}`,
    ]
    if (hasBlocks)
      t.ok(
        tests.some((it) => existsSync(it)),
        `${page} is tested`,
      )
  }
})

/** The anchor of a heading, as GitHub makes it. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} -]/gu, '')
    .replaceAll(' ', '-')

t.test('every link of the pages, and from README to them, leads somewhere', async (t) => {
  let count = 0
  for (const file of ['README.md', ...PAGES.map((page) => join('docs', page))]) {
    const links: string[] = []
    walkTokens(lexer(readFileSync(file, 'utf8')), (token: Token) => {
      if (token.type === 'link') links.push((token as Tokens.Link).href)
    })
    for (const link of links.filter((it) => !/^https?:/.test(it))) {
      const [path, anchor] = link.split('#')
      const target = path === '' ? file : join(dirname(file), path)
      t.ok(existsSync(target), `${file}: ${link}`)
      if (anchor === undefined) continue
      const tokens = lexer(readFileSync(target, 'utf8'))
      const anchors = tokens
        .filter((it) => it.type === 'heading')
        .map((it) => anchorOf((it as Tokens.Heading).text))
      t.ok(anchors.includes(anchor), `${file}: ${link}`)
      count++
    }
  }
  t.ok(count > 5)
})

t.test('troubleshooting says for every reason of a drop what to do', async (t) => {
  const all = [...Object.keys(DROP_REASONS), ...Object.keys(KERNEL_DROP_REASONS)]
  t.same(namesIn('reason').sort(), all.sort())
})

/** The parts of findings' names that are made while the program runs. */
const MADE: Readonly<Record<string, readonly string[]>> = {
  'it.toLowerCase()': Object.keys(CAPABILITIES).map((it) => it.toLowerCase()),
  way: ['in', 'out'],
  reason: ['*'],
  "state === 'up' ? 'no_keys' : state": ['no_keys', ...PEER_STATES.filter((it) => it !== 'up')],
}

t.test('troubleshooting says what every finding of doctor means, if it is not fine', async (t) => {
  const files = readdirSync('src/doctor').filter((it) => it.startsWith('check-'))
  const source = files.map((it) => readFileSync(join('src/doctor', it), 'utf8')).join('\n')
  const calls = [...source.matchAll(/\b(?:wrong|doubtful)\)?\(\s*(?:'([^']+)'|`([^`]+)`)/g)]
  const names = calls.flatMap(([, plain, template]) => {
    if (plain !== undefined) return [plain]
    const [, before, made] = /^(.*)\$\{(.*)\}$/.exec(template) ?? []
    if (MADE[made] === undefined) throw new Error(`it is not known here what "${template}" may be`)
    return MADE[made].map((it) => `${before}${it}`)
  })
  t.ok(names.length > 30)
  t.same(namesIn('finding').sort(), [...new Set(names)].sort())
})

t.test('every figure of which-tool-when.md is in README', async (t) => {
  const readme = readFileSync('README.md', 'utf8')
  const text = readFileSync('docs/which-tool-when.md', 'utf8')
  const figures = [...text.matchAll(/\b\d+\.\d+(?= |\.|,)|\b\d+ (?:MB|ms)\b|\b256\b/g)].map(([it]) => it)
  t.ok(figures.length > 8)
  // Version 1.0 of tinc is no figure of this program.
  for (const figure of figures.filter((it) => it !== '1.0')) t.ok(readme.includes(figure), figure)
})
