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

/** Whether a line of a licence says who has the copyright. "The above copyright notice" and a point "(c)" do not. */
export function namesHolder(line: string): boolean {
  return /^\s*(copyright\b.*(\d{4}|\(c\)|©)|(\(c\)|©)\s*(copyright\s*)?\d{4})/i.test(line)
}

/** Of a choice, such as "(MIT OR Apache-2.0)", this project takes the MIT licence. */
function takenOf(license: string): string {
  return /^\(?MIT OR /.test(license) || / OR MIT\)?$/.test(license) ? 'MIT' : license
}

/** @param folder of an unpacked package */
export function readNpmPackage(folder: string): NpmPackage {
  const { name, version, license, author } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  if (typeof license !== 'string') throw new Error(`${name} does not say what its licence is`)
  const taken = takenOf(license)
  const files = readdirSync(folder)
  const file =
    (taken === license ? undefined : files.find((it) => it.toUpperCase() === `LICENSE-${taken}`)) ??
    files.find((it) => /^(licen[cs]e|copying)(\.\w+)?$/i.test(it))
  const text = file === undefined ? undefined : readFileSync(join(folder, file), 'utf8')
  const lines = (text ?? '').split('\n').map((line) => line.trim())
  const holders = lines
    .filter(namesHolder)
    .map((line) => line.replace(/^(copyright|\(c\)|©|:|\s)+/i, '').trim())
    .filter(Boolean)
  const writer = typeof author === 'object' ? author?.name : author
  return {
    name,
    version,
    license: taken,
    text,
    holders: holders.length > 0 ? holders : [writer ?? `the authors of ${name}`],
  }
}
