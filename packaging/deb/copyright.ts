import { type NpmPackage, namesHolder } from '../npm-package.js'

/** Licences of which Debian has the text (its policy, 12.5). */
const COMMON: ReadonlySet<string> = new Set(['Apache-2.0'])

/** A field of several lines (Debian's policy, 5.6.13): an empty line is a dot. */
const indented = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => ` ${line.trim() === '' ? '.' : line.trimEnd()}`)
    .join('\n')

/**
 * The file of copyrights of the Debian package, in its machine-readable format (DEP-5).
 * @param own this project @param bundled what its own files contain, too
 * @param others what is below node_modules, by its path there
 */
export function copyrightFile(
  own: NpmPackage,
  bundled: readonly NpmPackage[],
  others: ReadonlyMap<string, NpmPackage>,
): string {
  const program = [own, ...bundled]
  const all = [...program, ...others.values()]
  const stanza = (files: string, packages: readonly NpmPackage[]) => {
    const holders = new Set(packages.flatMap((it) => it.holders))
    const licenses = new Set(packages.map(({ license }) => license))
    return `Files: ${files}\nCopyright: ${[...holders].join('\n ')}\nLicense: ${[...licenses].join(' and ')}\n`
  }
  const licences = [...new Set(all.map(({ license }) => license))].sort().map((license) => {
    if (COMMON.has(license))
      return `License: ${license}\n On Debian systems, the text is in /usr/share/common-licenses/${license}.\n`
    const text = all.find((it) => it.license === license && it.text !== undefined)?.text
    if (text === undefined) throw new Error(`no package has the text of the licence ${license}`)
    return `License: ${license}\n${indented(withoutHolders(text))}\n`
  })
  return [
    `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: ${own.name}\n`,
    stanza('*', [own]),
    stanza('usr/lib/udptun-fast/dist/program/*', program),
    ...[...others].map(([path, it]) => stanza(`usr/lib/udptun-fast/node_modules/${path}/*`, [it])),
    ...licences,
  ].join('\n')
}

/** A licence that many share must not name the holders of one. */
function withoutHolders(text: string): string {
  return text
    .split('\n')
    .filter((line) => !namesHolder(line))
    .join('\n')
}
