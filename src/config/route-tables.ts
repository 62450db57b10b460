import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Where ip(8) keeps names. A file in a later directory counts only if no earlier one has a file of that name. */
const DIRECTORIES: readonly string[] = ['/etc/iproute2', '/usr/share/iproute2', '/usr/lib/iproute2']

/** Numbers of the kernel's tables of routes (rtnetlink(7)), by the names that ip-route(8) always knows. */
const KERNEL_TABLES: Readonly<Record<string, number>> = { default: 253, main: 254, local: 255 }

const MAX_TABLE = 0xffff_ffff

/** The table in which routes are made: a number, or a name that ip-route(8) knows, too. */
export function parseTable(text: string): 'auto' | 'off' | number {
  const lower = text.toLowerCase()
  if (lower === 'auto' || lower === 'off') return lower
  const table =
    tableNamed(text) ??
    KERNEL_TABLES[lower] ??
    (/^(0x[\da-f]+|\d+)$/.test(lower) ? Number(lower) : Number.NaN)
  if (!(table >= 1 && table <= MAX_TABLE))
    throw new RangeError(
      `"${text}" is not a table; use auto, off, a number from 1 to ${MAX_TABLE}, or a name of /etc/iproute2/rt_tables`,
    )
  return table
}

/**
 * The number of the table that has this name on this host. As for ip(8), it is in `rt_tables` or in a file of
 * `rt_tables.d` that ends in `.conf`.
 */
export function tableNamed(name: string, directories = DIRECTORIES): number | undefined {
  const parts = directories.flatMap((directory) =>
    filesIn(join(directory, 'rt_tables.d')).map((file) => join('rt_tables.d', file)),
  )
  for (const file of ['rt_tables', ...new Set(parts)]) {
    const text = directories.map((directory) => textOf(join(directory, file))).find((it) => it !== undefined)
    const table = text === undefined ? undefined : namesIn(text).get(name)
    if (table !== undefined) return table
  }
  return undefined
}

/** Lines of a number, decimal or hexadecimal, and a name. The rest of a line is a comment. */
function namesIn(text: string): Map<string, number> {
  const names = new Map<string, number>()
  for (const line of text.split('\n')) {
    const [, number, name] = /^\s*(0x[\da-f]+|\d+)\s+(\S+)/i.exec(line) ?? []
    if (name !== undefined && !names.has(name)) names.set(name, Number(number))
  }
  return names
}

function filesIn(directory: string): string[] {
  try {
    return readdirSync(directory).filter((it) => it.endsWith('.conf') && !it.startsWith('.'))
  } catch {
    return []
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
