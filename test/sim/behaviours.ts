import type { PeerStatus } from '../../src/control/status.js'
import type { NatBehaviour } from './nat.js'
import { type HostChoices, SimWorld } from './sim-world.js'
import type { Way } from './way.js'

/** Of RFC 4787: what a mapping depends on (section 4.1), and what is let in (section 5). */
const DEPENDENCES = ['endpoint-independent', 'address', 'address-and-port'] as const

export const BEHAVIOURS: readonly NatBehaviour[] = DEPENDENCES.flatMap((mapping) =>
  DEPENDENCES.map((filtering) => ({ mapping, filtering })),
)

export type PairOfBehaviours = readonly [NatBehaviour, NatBehaviour]

/** Every pair, once. */
export const PAIRS_OF_BEHAVIOURS: readonly PairOfBehaviours[] = BEHAVIOURS.flatMap((a, index) =>
  BEHAVIOURS.slice(index).map((b) => [a, b] as const),
)

const LETTERS = { 'endpoint-independent': 'E', address: 'A', 'address-and-port': 'P' } as const

/** Mapping and filtering, a letter each. */
export const shortName = ({ mapping, filtering }: NatBehaviour) =>
  `${LETTERS[mapping]}, ${LETTERS[filtering]}`

/** Whether there is a session that no hub relays. */
const isDirect = (peer: PeerStatus | undefined) => peer?.privacy?.handshake_s != null && peer.relayed === null

const TUN: HostChoices = { mode: 'tun' }
const STEP_MS = 50
const SEED = 1
const PATIENCE_MS = 60_000

/**
 * Has two hosts behind such NATs meet, in a world of their own.
 * @param change of all ways
 * @returns how long after both know each other they have a session directly; undefined if they have none in a minute
 */
export async function meetBehind(
  pair: PairOfBehaviours,
  change: Partial<Way> = {},
): Promise<number | undefined> {
  const world = new SimWorld(SEED)
  const hub = world.host('hub', TUN)
  const members = pair.map((behaviour, index) =>
    world.host(`m${index}`, {
      ...TUN,
      addresses: [`10.0.${index}.2`],
      nat: world.nat(`203.0.113.${index + 1}`, behaviour),
    }),
  )
  for (const a of world.hosts) for (const b of world.hosts) if (a !== b) world.between(a, b, change)
  await hub.start({ introduce: true, peers: members.map((it) => it.asPeer({ endpoint: undefined })) })
  await world.run(Promise.all(members.map((it) => it.begin({ peers: [hub.asPeer({ introducer: true })] }))))
  const timeUntil = async (holds: () => boolean) => {
    const startMs = world.time.nowMs
    while (!holds()) {
      if (world.time.nowMs - startMs > PATIENCE_MS) return undefined
      await world.pass(STEP_MS)
    }
    return world.time.nowMs - startMs
  }
  const other = (index: number) => members[index].status().peers.find(({ name }) => name === `m${1 - index}`)
  const both = (holds: (index: number) => boolean) => () => [0, 1].every(holds)
  const knowMs = await timeUntil(both((index) => other(index) !== undefined))
  if (knowMs === undefined) throw new Error('they do not know each other')
  const metMs = await timeUntil(both((index) => isDirect(other(index))))
  for (const host of world.hosts) await host.stop()
  return metMs
}
