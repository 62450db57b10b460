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

/** Reads a TAP 14 stream. Each file is a subtest of the first level, each named test of the second. */
export function readResults(tap: string): Map<string, Tally> {
  const files = new Map<string, Tally>()
  const of = (name: string) => {
    const tally = files.get(name) ?? { passed: 0, failed: 0, failures: [] }
    files.set(name, tally)
    return tally
  }
  const parser = new Parser()
  parser.on('child', (file: Parser) => {
    file.on('assert', ({ ok }: Result) => of(file.name)[ok ? 'passed' : 'failed']++)
  })
  parser.on('fail', (failure: Result) =>
    of(failure.fullname.split(' > ', 1)[0]).failures.push(account(failure)),
  )
  // A file can fail outside of its tests, for example by its time limit. Then no failed test counts for it.
  parser.on('assert', ({ ok, name }: Result) => {
    if (!ok) of(name).failed ||= 1
  })
  parser.end(tap)
  return files
}

function account({ fullname, diag }: Result): string {
  const at = diag?.at === undefined ? '' : ` (${diag.at.fileName}:${diag.at.lineNumber})`
  const diff = typeof diag?.diff === 'string' ? `\n${diag.diff.trimEnd().replace(/^/gm, '    ')}` : ''
  const text = `${fullname}${at}${diff}`
  return text.length <= MAX_ACCOUNT ? text : `${text.slice(0, MAX_ACCOUNT)}...`
}
