import { readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { dirname, join } from 'node:path'
import { Parser, type Result } from 'tap-parser'

/** The results of the named tests of one file. */
export interface Tally {
  passed: number
  failed: number
  /** Each failed assertion: the names that lead to it, what was wrong, and where. */
  readonly failures: string[]
}

/** Most characters of a failure's text, because an assertion may quote a whole log. */
const MAX_ACCOUNT = 1_500

/**
 * Reads the TAP 14 stream of a file, with its named tests on the first level.
 * @param file the name of the file, for the failures
 * @param wentWell whether the file ended by itself, with exit code 0
 */
export function readResults(file: string, tap: string, wentWell: boolean): Tally {
  const tally: Tally = { passed: 0, failed: 0, failures: [] }
  const parser = new Parser()
  parser.on('assert', ({ ok }: Result) => tally[ok ? 'passed' : 'failed']++)
  parser.on('fail', (failure: Result) => tally.failures.push(account(file, failure)))
  parser.end(tap)
  // A file can fail outside of its tests, for example by its time limit. Then no failed test counts for it.
  if (tally.failed === 0 && !(wentWell && parser.ok && tally.passed > 0)) {
    tally.failed = 1
    tally.failures.push(`${file} broke off`)
  }
  return tally
}

function account(file: string, { fullname, diag }: Result): string {
  const at = diag?.at === undefined ? '' : ` (${sourceOf(diag.at)})`
  const diff = typeof diag?.diff === 'string' ? `\n${diag.diff.trimEnd().replace(/^/gm, '    ')}` : ''
  const text = `${file} > ${fullname}${at}${diff}`
  return text.length <= MAX_ACCOUNT ? text : `${text.slice(0, MAX_ACCOUNT)}...`
}

/** Where tap says that a call stands: in the compiled file, by lines and columns from 1. */
interface Place {
  readonly fileName: string
  readonly lineNumber: number
  readonly columnNumber?: number
}

/** The file and line of the source, or of the compiled file if it has no map. */
function sourceOf({ fileName, lineNumber, columnNumber = 1 }: Place): string {
  try {
    const map = new SourceMap(JSON.parse(readFileSync(`${fileName}.map`, 'utf8')))
    const entry = map.findEntry(lineNumber - 1, columnNumber - 1)
    if ('originalSource' in entry)
      return `${join(dirname(fileName), entry.originalSource)}:${entry.originalLine + 1}`
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  return `${fileName}:${lineNumber}`
}
