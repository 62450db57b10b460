import { isHostLabel } from '../config/values.js'

/**
 * The names of a tunnel's peers in hosts(5): a block of lines between two comments. Each line has an address, a tab and a
 * name. Everything else in the file stays as it is, byte by byte.
 */

/** A host, and what it is called. */
export interface NamedHost {
  readonly name: string
  readonly addresses: readonly string[]
}

/** @param label tells blocks apart; its last word is the suffix of all names in the block */
export function withBlock(text: string, label: string, lines: readonly string[]): string {
  const rest = withoutBlock(text, label)
  if (lines.length === 0) return rest
  const end = rest === '' || rest.endsWith('\n') ? '' : '\n'
  return `${rest}${end}${[beginOf(label), ...lines, endOf(label)].join('\n')}\n`
}

/** Also removes what is left of a block that somebody has damaged. Lines that somebody has added to it stay. */
export function withoutBlock(text: string, label: string): string {
  const suffix = `.${label.split(' ').at(-1)}`
  let isInside = false
  const rest = text.split('\n').filter((line) => {
    const written = line.replace(/\r$/, '')
    if (written === beginOf(label)) isInside = true
    else if (written === endOf(label)) isInside = false
    else return !(isInside && /^[^\t#]+\t[^\t]+$/.test(written) && written.endsWith(suffix))
    return false
  })
  return rest.join('\n')
}

export function hasBlock(text: string, label: string): boolean {
  return text.split('\n').some((line) => line.replace(/\r$/, '') === beginOf(label))
}

function beginOf(label: string): string {
  return `# BEGIN ${label}`
}

function endOf(label: string): string {
  return `# END ${label}`
}

/**
 * The lines for these hosts, and a sentence for each that gets none. A name must not stand for anything else: only one
 * label, not localhost, not this host, and nobody else's.
 * @param own the name of this host
 */
export function hostLines(
  hosts: readonly NamedHost[],
  suffix: string,
  own: string,
): { readonly lines: readonly string[]; readonly refused: readonly string[] } {
  const taken = new Map([
    ['localhost', 'that means this host everywhere'],
    [own.split('.')[0].toLowerCase(), 'this host is called so'],
  ])
  const lines: string[] = []
  const refused: string[] = []
  for (const { name, addresses } of hosts) {
    const label = name.toLowerCase()
    const why = isHostLabel(label) ? taken.get(label) : 'it is not one label of letters, digits and hyphens'
    if (why !== undefined)
      refused.push(`the peer "${name}" has no name in /etc/hosts, because ${why}; give it another name`)
    else {
      taken.set(label, 'another peer is called so')
      lines.push(...addresses.map((address) => `${address}\t${label}.${suffix}`))
    }
  }
  return { lines, refused }
}
