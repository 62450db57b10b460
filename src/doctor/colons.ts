import { isIPv6 } from 'node:net'

/** What addresses with colons are written with: those of IPv6, and of link layers. */
const RUN = /[0-9A-Fa-f:.]+/g

/** Six bytes or more: Ethernet has six, InfiniBand twenty. */
const LINK_LAYER = /^(?:[0-9A-Fa-f]{2}:){5,}[0-9A-Fa-f]{2}$/

/** `text` with a mask in place of each address that has colons. It may come right after a word and its colon. */
export function maskWithColons(text: string, mask: (address: string) => string): string {
  return text.replace(RUN, (run, at: number) => {
    const start = startsIn(run, /[0-9A-Za-z]/.test(text[at - 1] ?? '')).find(
      (it) => addressAt(run, it) !== '',
    )
    if (start === undefined) return run
    const address = addressAt(run, start)
    return `${run.slice(0, start)}${mask(address)}${run.slice(start + address.length)}`
  })
}

/**
 * Where an address may begin.
 * @param isRest whether the run begins within a word
 */
function startsIn(run: string, isRest: boolean): number[] {
  const colons = [...run.matchAll(/:/g)].map(({ index }) => index)
  if (colons.length < 2) return []
  return [...(isRest ? [] : [0]), ...colons.map((it) => it + 1)]
}

/** The address that goes on to the end; empty if there is none. A sentence may end after it, or go on with a colon. */
function addressAt(run: string, start: number): string {
  const rest = run.slice(start)
  return [rest, rest.replace(/[:.]$/, '')].find((it) => LINK_LAYER.test(it) || isIPv6(it)) ?? ''
}
