/**
 * Measures what comes to be between hosts behind NATs, and writes the tables of docs/nat.md: `npm run nats`, as root.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { meetBehind, PAIRS_OF_BEHAVIOURS, shortName } from '../sim/behaviours.js'
import { OTHERS, PAIRS } from './cases.js'
import { type Case, type Meeting, meet } from './meeting.js'
import { behavioursTable, HEADS, othersTable, PAGE, pairsTable, said, withTables } from './page.js'

/** Of so many meetings the one in the middle counts. */
const ROUNDS = 3

async function middle(what: string, it: Case): Promise<Meeting> {
  const all: Meeting[] = []
  for (let round = 0; round < ROUNDS; round++) all.push(await meet(it))
  const msOf = ({ directMs = Number.POSITIVE_INFINITY, reachedMs = Number.POSITIVE_INFINITY }: Meeting) =>
    Math.min(directMs, 1e9) * 1e9 + reachedMs
  all.sort((a, b) => msOf(a) - msOf(b))
  process.stderr.write(`${what}: ${all.map(said).join('; ')}\n`)
  return all[ROUNDS >> 1]
}

const met = new Map<string, number | undefined>()
for (const pair of PAIRS_OF_BEHAVIOURS) met.set(pair.map(shortName).join(), await meetBehind(pair))
process.stderr.write(`${met.size} pairs of simulated NATs\n`)
const pairs: Meeting[] = []
for (const it of PAIRS) pairs.push(await middle(`${it.row} and ${it.column}`, it))
const others: Meeting[] = []
for (const [name, it] of OTHERS) others.push(await middle(name, it))

const page = withTables(readFileSync(PAGE, 'utf8'), {
  [HEADS.pairs]: pairsTable(pairs),
  [HEADS.others]: othersTable(others),
  [HEADS.behaviours]: behavioursTable((a, b) => met.get(`${a},${b}`) ?? met.get(`${b},${a}`)),
})
writeFileSync(PAGE, page)
