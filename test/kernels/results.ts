import { markdownTable } from 'markdown-table'
import { KERNELS } from './kernels.js'

/** What came of one check under one kernel. */
export type Outcome = 'passed' | 'failed' | 'absent' | 'not run'

export interface Row {
  /** One of {@link KERNELS}. */
  readonly kernel: string
  /** What `uname -r` said, and the day. */
  readonly release: string
  readonly date: string
  /** The file of the check, and its title there; no title if the file has not been run. */
  readonly check: string
  readonly title: string
  readonly outcome: Outcome
  /** What was measured, or why it failed. */
  readonly seen: string
  readonly seconds: string
}

const HEAD = ['kernel', 'release', 'check', 'what', 'outcome', 'seen', 's', 'date']

const cellOf = (text: string) => text.replace(/\s+/g, ' ').replaceAll('|', '/').trim()

/** The rows of a page that {@link pageOf} has made. */
export function rowsOf(page: string): Row[] {
  const lines = page.split('\n').filter((line) => line.startsWith('| '))
  return lines.flatMap((line) => {
    const cells = line.split('|').slice(1, -1)
    const [kernel, release, check, title, outcome, seen, seconds, date] = cells.map((cell) => cell.trim())
    if (cells.length !== HEAD.length || kernel === HEAD[0] || kernel.startsWith('-')) return []
    return [{ kernel, release, check, title, outcome: outcome as Outcome, seen, seconds, date }]
  })
}

/**
 * Puts new rows in the place of those of the same kernel and check. What has never been run under a kernel is said, also a
 * part of a check that it has come to under another one.
 * @param checks all that there are, in the order of the table
 * @param unfinished the check that has not come to its end: what it has not come to keeps its old rows
 */
export function merge(
  old: readonly Row[],
  fresh: readonly Row[],
  checks: readonly string[],
  unfinished?: string,
): Row[] {
  const rows = KERNELS.flatMap((kernel) =>
    checks.flatMap((check) => {
      const isHere = (row: Row) => row.kernel === kernel && row.check === check
      const before = old.filter((row) => isHere(row) && row.outcome !== 'not run')
      const now = fresh.filter(isHere)
      const isNew = ({ title }: Row) => now.some((row) => row.title === title)
      const stays = now.length === 0 || check === unfinished ? before.filter((row) => !isNew(row)) : []
      return [...now, ...stays]
    }),
  )
  return KERNELS.flatMap((kernel) =>
    checks.flatMap((check) => {
      const here = rows.filter((row) => row.kernel === kernel && row.check === check)
      const titles = new Set(here.map(({ title }) => title))
      const missing = titlesOf(rows, check).filter((title) => !titles.has(title))
      const never = missing.length + here.length === 0 ? [''] : missing
      return [...here, ...never.map((title) => notRun(kernel, check, title))]
    }),
  )
}

/** What a check has come to under any kernel. */
function titlesOf(rows: readonly Row[], check: string): string[] {
  const ended = rows.filter((it) => it.check === check && it.outcome !== 'failed')
  return [...new Set(ended.map(({ title }) => title))]
}

function notRun(kernel: string, check: string, title: string): Row {
  return { kernel, release: '', check, title, outcome: 'not run', seen: '', seconds: '', date: '' }
}

/** @param versions the programs that took part */
export function pageOf(rows: readonly Row[], versions: string): string {
  const table = markdownTable([
    HEAD,
    ...rows.map(({ kernel, release, check, title, outcome, seen, seconds, date }) =>
      [kernel, release, check, title, outcome, seen, seconds, date].map(cellOf),
    ),
  ])
  return `# Other kernels

\`npm run test:kernels\` has written this table. Each row is one check under one kernel. The times are those of an emulated processor, which is about ten times slower than a real one.

* \`absent\`: the kernel does not have what the check needs, and the program said so.
* \`not run\`: nobody has run this check under this kernel yet.

The last run had ${versions}.

${table}
`
}
