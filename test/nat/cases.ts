import { NATS, type Nat, type SiteChoices } from '../support/hosts/nat-lab.js'
import { type Case, PORT } from './meeting.js'

/** What a person calls it. */
export const NAMES: Readonly<Record<Nat, string>> = {
  none: 'nothing',
  firewall: 'a firewall',
  keeping: 'a NAT that keeps ports',
  'two-layers': 'two such NATs in a row',
  random: 'a symmetric NAT',
}

const site = (nat: Nat): SiteChoices => ({ nat, ports: [PORT] })
const pair = (mode: Case['mode'], a: Nat, b: Nat): Case => ({ mode, sites: [site(a), site(b)] })

/** Two hosts behind one NAT, each with a port of its own. */
const oneNat = (hairpin: boolean): Case => ({
  mode: 'tun',
  sites: [{ nat: 'keeping', ports: [PORT, PORT + 1], hairpin }],
})

/** A cell of the table of pairs, by the names of its row and its column. */
export interface PairCase extends Case {
  readonly row: string
  readonly column: string
}

/** Every pair of NATS, once. */
export const PAIRS: readonly PairCase[] = NATS.flatMap((a, index) =>
  NATS.slice(index).map((b) => ({ ...pair('tun', a, b), row: NAMES[a], column: NAMES[b] })),
)

/** What is not a pair of NATs in mode tun. */
export const OTHERS: ReadonlyMap<string, Case> = new Map([
  ['both behind the same NAT', oneNat(false)],
  ['both behind the same NAT, which has a hairpin', oneNat(true)],
  ['mode tap: both behind a NAT that keeps ports', pair('tap', 'keeping', 'keeping')],
  ['mode tap: a NAT that keeps ports, and two in a row', pair('tap', 'keeping', 'two-layers')],
  ['mode tap: a NAT that keeps ports, and a symmetric NAT', pair('tap', 'keeping', 'random')],
])
