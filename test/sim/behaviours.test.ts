/** Every pair of NATs that RFC 4787 knows: what docs/nat.md says of them holds in simulated networks. */
import t from 'tap'
import { HEADS, promises } from '../nat/page.js'
import { meetBehind, PAIRS_OF_BEHAVIOURS, type PairOfBehaviours, shortName } from './behaviours.js'
import type { NatBehaviour } from './nat.js'

/** The aim for a direct way. */
const DIRECT_MS = 2_000
const DIRECT_WITH_LOSS_MS = 20_000

const promise = promises(HEADS.behaviours)

/** Whether two ends meet, by what RFC 4787 says of both, if each is told only the port that the hub sees. */
function canMeet([a, b]: PairOfBehaviours): boolean {
  /** Whether what `from` sends to the port that the hub sees of `to` is let in, and the answer as well. */
  const begins = (from: NatBehaviour, to: NatBehaviour) => {
    // The port of `to` that the hub sees lets in whom `to` has spoken to from there: with one mapping for all, `from`.
    const seen = from.mapping === 'endpoint-independent'
    const isLetIn =
      to.filtering === 'endpoint-independent' ||
      (to.mapping === 'endpoint-independent' && (to.filtering === 'address' || seen))
    // The answer comes from where the first datagram went to, or from another port.
    const isAnswerLetIn = to.mapping === 'endpoint-independent' || from.filtering !== 'address-and-port'
    return isLetIn && isAnswerLetIn
  }
  return begins(a, b) || begins(b, a)
}

t.test('every pair meets that can, within two seconds', async (t) => {
  for (const pair of PAIRS_OF_BEHAVIOURS) {
    const [row, column] = pair.map(shortName)
    const ms = await meetBehind(pair)
    const said = promise(row, column)
    const name = `${row} and ${column}: ${ms === undefined ? 'no' : `${ms} ms`}; promised: ${said}`
    t.equal(ms !== undefined, canMeet(pair), name)
    t.equal(said !== 'no', canMeet(pair), name)
    t.equal(said, promise(column, row))
    if (ms !== undefined) t.ok(ms <= DIRECT_MS, name)
  }
})

t.test('and at a loss of a fifth of all datagrams, a little later', async (t) => {
  for (const pair of PAIRS_OF_BEHAVIOURS.filter(canMeet)) {
    const [row, column] = pair.map(shortName)
    const ms = await meetBehind(pair, { loss: 0.2 })
    t.ok(ms !== undefined && ms <= DIRECT_WITH_LOSS_MS, `${row} and ${column}: ${ms} ms`)
  }
})
