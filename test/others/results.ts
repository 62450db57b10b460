import { markdownTable } from 'markdown-table'

/** The machines of the table, in its order. */
export const MACHINES = ['musl', 'arm64'] as const

export type MachineName = (typeof MACHINES)[number]

export interface Row {
  readonly machine: string
  readonly what: string
  readonly outcome: string
  /** What was measured, or why it failed. */
  readonly seen: string
  readonly seconds: string
  readonly date: string
}

const HEAD = ['machine', 'what', 'outcome', 'seen', 's', 'date']

const cellOf = (text: string) => text.replace(/\s+/g, ' ').replaceAll('|', '/').trim()

/** The rows of a page that {@link pageOf} has made. */
export function rowsOf(page: string): Row[] {
  const lines = page.split('\n').filter((line) => line.startsWith('| '))
  return lines.flatMap((line) => {
    const cells = line.split('|').slice(1, -1)
    const [machine, what, outcome, seen, seconds, date] = cells.map((cell) => cell.trim())
    if (cells.length !== HEAD.length || machine === HEAD[0] || machine.startsWith('-')) return []
    return [{ machine, what, outcome, seen, seconds, date }]
  })
}

/** Puts new rows in the place of those of the same machine. */
export function merge(old: readonly Row[], fresh: readonly Row[]): Row[] {
  return MACHINES.flatMap((name) => {
    const rowsIn = (rows: readonly Row[]) => rows.filter(({ machine }) => machine === name)
    return rowsIn(fresh).length > 0 ? rowsIn(fresh) : rowsIn(old)
  })
}

export function pageOf(rows: readonly Row[]): string {
  const cells = rows.map(({ machine, what, outcome, seen, seconds, date }) =>
    [machine, what, outcome, seen, seconds, date].map(cellOf),
  )
  return `# Another C library and another processor

\`npm run test:others\` has written this table. The row \`machine\` of each says what it was.

* \`musl\`: the Node.js of Alpine, with musl, on the kernel of the machine that ran the test. It has Debian's libstdc++ (libstdcxx.c).
* \`arm64\`: Debian for arm64 with its own kernel, in an emulated machine (QEMU), which is about ten times slower than a real one.

${markdownTable([HEAD, ...cells])}
`
}
