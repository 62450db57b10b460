import { field } from './nft-match.js'

/**
 * A ruleset without the tables that are dormant: the kernel does not look at those. nft 1.0.6 writes any value for the
 * flags into its JSON, and other versions write none. So they are read from nft's text.
 * @param text what `nft list ruleset` prints
 */
export function withoutDormant(ruleset: readonly unknown[], text: string): unknown[] {
  const dormant = dormantTables(text)
  return ruleset.filter((it) =>
    ['chain', 'rule'].every((kind) => {
      const own = field(it, kind)
      return !dormant.has(`${field(own, 'family')} ${field(own, 'table')}`)
    }),
  )
}

/** Each as its family and its name. The flags stand in a line of their own, right below the table's. */
function dormantTables(text: string): ReadonlySet<string> {
  const tables = text.matchAll(/^table (\S+ \S+) \{.*\n(?:\s+comment .*\n)?\s+flags ([\w, ]+)/gm)
  return new Set(
    [...tables].filter(([, , flags]) => flags.split(/[ ,]+/).includes('dormant')).map(([, table]) => table),
  )
}
