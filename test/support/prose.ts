/**
 * Checks the documents: `node dist/test/support/prose.js README.md …`. No sentence may have more than
 * {@link MAX_WORDS} words, because many readers' first language is not English. Code blocks do not count.
 * Inline code counts as one word.
 */
import { readFileSync } from 'node:fs'
import { lexer, type Token, type Tokens } from 'marked'

export const MAX_WORDS = 30

/** A sentence with too many words, and the number of its words. */
export interface LongSentence {
  readonly words: number
  readonly text: string
}

/** Every sentence of a Markdown text that is too long. */
export function longSentences(markdown: string): LongSentence[] {
  return [...passages(lexer(markdown))]
    .flatMap(sentences)
    .map((text) => ({ text, words: wordsIn(text) }))
    .filter(({ words }) => words > MAX_WORDS)
}

/**
 * The parts of a text: paragraphs, headings, list items and table cells. No sentence continues from one to the
 * next.
 */
function* passages(tokens: readonly Token[]): Generator<string> {
  for (const token of tokens) {
    if (token.type === 'list') for (const item of (token as Tokens.List).items) yield* passages(item.tokens)
    else if (token.type === 'table') {
      const { header, rows } = token as Tokens.Table
      for (const cell of [...header, ...rows.flat()]) yield plain(cell.tokens)
    } else if (token.type === 'blockquote') yield* passages(token.tokens ?? [])
    else if (token.type === 'paragraph' || token.type === 'heading' || token.type === 'text')
      yield 'tokens' in token && token.tokens !== undefined
        ? plain(token.tokens)
        : (token as Tokens.Text).text
  }
}

/** A passage without its markup. Code becomes one word. */
function plain(tokens: readonly Token[]): string {
  return tokens
    .map((token) => {
      if (token.type === 'codespan') return 'code'
      if (token.type === 'image' || token.type === 'html') return ''
      return 'tokens' in token && token.tokens !== undefined
        ? plain(token.tokens)
        : (token as Tokens.Text).text
    })
    .join('')
}

/** A colon or semicolon does not end a sentence, nor does a point within an abbreviation. */
function sentences(passage: string): string[] {
  const whole = passage.replaceAll(/\b(e\.g|i\.e|cf|etc)\./g, '$1')
  return whole.split(/(?<=[.!?]["')]?)\s+/).map((sentence) => sentence.replaceAll(/\s+/g, ' '))
}

function wordsIn(sentence: string): number {
  return sentence.split(/[\s–—/]+/).filter((word) => /[\p{L}\p{N}]/u.test(word)).length
}

if (process.argv[1]?.endsWith('prose.js')) {
  let found = 0
  for (const file of process.argv.slice(2)) {
    for (const { words, text } of longSentences(readFileSync(file, 'utf8'))) {
      process.stdout.write(`${file}: a sentence of ${words} words: ${text}\n`)
      found++
    }
  }
  if (found > 0) {
    process.stdout.write(`${found} sentences have more than ${MAX_WORDS} words: split them\n`)
    process.exitCode = 1
  }
}
