import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A package of npm, as its package.json and its licence describe it. */
export interface NpmPackage {
  readonly name: string
  readonly version: string
  /** The identifier of SPDX. */
  readonly license: string
  /** Who has the copyright, a line for each. */
  readonly holders: readonly string[]
  /** The text of its licence; undefined if it has no such file. */
  readonly text: string | undefined
}

/** @param folder of an unpacked package */
export function readNpmPackage(folder: string): NpmPackage {
  const { name, version, license, author } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  if (typeof license !== 'string') throw new Error(`${name} does not say what its licence is`)
  const file = readdirSync(folder).find((it) => /^(licen[cs]e|copying)(\.\w+)?$/i.test(it))
  const text = file === undefined ? undefined : readFileSync(join(folder, file), 'utf8')
  const lines = (text ?? '').split('\n').map((line) => line.trim())
  // "The above copyright notice" is no holder.
  const found = lines.filter((line) => /^(copyright|\(c\)|©)/i.test(line) && /\d{4}|\(c\)|©/i.test(line))
  const holders = found.map((line) => line.replace(/^(copyright|\(c\)|©|:|\s)+/i, '').trim()).filter(Boolean)
  const writer = typeof author === 'object' ? author?.name : author
  return {
    name,
    version,
    license,
    text,
    holders: holders.length > 0 ? holders : [writer ?? `the authors of ${name}`],
  }
}

/** A field of several lines (Debian's policy, 5.6.13): an empty line is a dot. */
const indented = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => ` ${line.trim() === '' ? '.' : line.trimEnd()}`)
    .join('\n')

/**
 * The file of copyrights of the Debian package, in its machine-readable format (DEP-5).
 * @param own this project @param others what is below node_modules, by its path there
 */
export function copyrightFile(own: NpmPackage, others: ReadonlyMap<string, NpmPackage>): string {
  const all = [own, ...others.values()]
  const stanza = (files: string, { holders, license }: NpmPackage) =>
    `Files: ${files}\nCopyright: ${holders.join('\n ')}\nLicense: ${license}\n`
  const licences = [...new Set(all.map(({ license }) => license))].sort().map((license) => {
    const text = all.find((it) => it.license === license && it.text !== undefined)?.text
    if (text === undefined) throw new Error(`no package has the text of the licence ${license}`)
    return `License: ${license}\n${indented(withoutHolders(text))}\n`
  })
  return [
    `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: ${own.name}\n`,
    stanza('*', own),
    ...[...others].map(([path, it]) => stanza(`usr/lib/udptun-fast/node_modules/${path}/*`, it)),
    ...licences,
  ].join('\n')
}

/** A licence that many share must not name the holders of one. */
function withoutHolders(text: string): string {
  return text
    .split('\n')
    .filter((line) => !/^\s*(copyright|\(c\)|©).*(\d{4}|\(c\)|©)/i.test(line))
    .join('\n')
}
