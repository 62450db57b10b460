/** The tables of docs/nat.md: made of what was measured, and read as what is promised. */
import { readFileSync } from 'node:fs'
import { markdownTable } from 'markdown-table'
import { lexer, type Tokens } from 'marked'
import { BEHAVIOURS, shortName } from '../sim/behaviours.js'
import { NATS } from '../support/hosts/nat-lab.js'
import { NAMES, OTHERS, PAIRS } from './cases.js'
import type { Meeting, Way } from './meeting.js'

export const PAGE = 'docs/nat.md'

/** The first cell of each table, by which it is found. */
export const HEADS = { pairs: 'behind', others: 'two hosts', behaviours: 'mapping, filtering' } as const

type Head = (typeof HEADS)[keyof typeof HEADS]

const SAID: Readonly<Record<Way, string>> = { direct: 'direct', hub: 'by the hub', none: 'no' }

const tableOf = (rows: readonly (readonly string[])[]) =>
  markdownTable(
    rows.map((row) => [...row]),
    { alignDelimiters: false },
  )

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`

/** A cell. */
export function said({ way, reachedMs, directMs }: Meeting): string {
  const ms = way === 'direct' ? directMs : reachedMs
  return way === 'none' || ms === undefined ? SAID.none : `${SAID[way]}, ${seconds(ms)}`
}

/** What a cell promises. */
export function wayOf(cell: string): Way {
  const [text] = cell.split(', ')
  const found = (Object.keys(SAID) as Way[]).find((way) => SAID[way] === text)
  if (found === undefined) throw new Error(`"${cell}" of ${PAGE} says nothing that is known here`)
  return found
}

/** @param meetings in the order of {@link PAIRS} */
export function pairsTable(meetings: readonly Meeting[]): string {
  const cell = (row: string, column: string) => {
    const index = PAIRS.findIndex(
      (it) => (it.row === row && it.column === column) || (it.row === column && it.column === row),
    )
    return said(meetings[index])
  }
  const names = NATS.map((nat) => NAMES[nat])
  return tableOf([[HEADS.pairs, ...names], ...names.map((row) => [row, ...names.map((it) => cell(row, it))])])
}

/** @param meetings in the order of {@link OTHERS} */
export function othersTable(meetings: readonly Meeting[]): string {
  const rows = [...OTHERS.keys()].map((name, index) => [name, said(meetings[index])])
  return tableOf([[HEADS.others, 'what comes to be'], ...rows])
}

/** @param msOf how long it takes until two hosts behind such NATs have met; undefined if they do not */
export function behavioursTable(msOf: (a: string, b: string) => number | undefined): string {
  const names = BEHAVIOURS.map(shortName)
  const cell = (ms: number | undefined) => (ms === undefined ? SAID.none : seconds(ms))
  const rows = names.map((a) => [a, ...names.map((b) => cell(msOf(a, b)))])
  return tableOf([[HEADS.behaviours, ...names], ...rows])
}

/** A table of the page, by the names of its rows and columns. */
export function promises(head: Head): (row: string, column: string) => string {
  const table = tablesOf(readFileSync(PAGE, 'utf8')).find(({ header }) => header[0].text === head)
  if (table === undefined) throw new Error(`${PAGE} has no table "${head}"`)
  return (row, column) => {
    const at = table.header.findIndex(({ text }) => text === column)
    const cell = table.rows.find(([first]) => first.text === row)?.[at]
    if (cell === undefined) throw new Error(`the table "${head}" of ${PAGE} has no ${row} and ${column}`)
    return cell.text
  }
}

/** The page with other tables. */
export function withTables(markdown: string, tables: Readonly<Partial<Record<Head, string>>>): string {
  return tablesOf(markdown).reduce((page, { header, raw }) => {
    const table = tables[header[0].text as Head]
    return table === undefined ? page : page.replace(raw.trimEnd(), table)
  }, markdown)
}

const tablesOf = (markdown: string) => lexer(markdown).filter((it): it is Tokens.Table => it.type === 'table')
