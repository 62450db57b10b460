/** What strangers can send, 20,000 of it a second; compare.ts does the same at greater length. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { KINDS, type KindName } from './kinds.js'
import { Siege, type SourceName, type TargetProgram, UDPTUN } from './siege.js'

const PER_SECOND = 20_000
const SETTLE_MS = 300

const GARBAGE = (Object.keys(KINDS) as KindName[]).filter((kind) => kind !== 'right-mac1')
const FLOODS: readonly (readonly [KindName, SourceName])[] = [
  ...GARBAGE.map((kind) => [kind, 'peer'] as const),
  ['cookie-reply', 'own'],
  ['cookie-reply', 'neighbours'],
  ['response', 'neighbours'],
  ['wrong-mac1', 'world'],
]

t.test('under garbage of any kind a peer is let in within two tries, ten times of ten', async (t) => {
  using siege = new Siege()
  const target = await siege.start(UDPTUN, false)
  for (const [kind, source] of FLOODS) {
    const flood = await siege.flood(kind, source, PER_SECOND)
    await sleep(SETTLE_MS)
    const { tries } = await siege.knock(10)
    const { sent, tookMs } = await flood.stop()
    t.equal(tries.length, 10)
    t.ok(
      tries.every((count) => count !== null && count <= 2),
      `${kind} from ${source}, ${Math.round(sent / tookMs)} a ms: ${tries.join(' ')}`,
    )
  }
  await target.stop()
})

t.test(
  "where strangers know the target's key a peer needs no more tries than with wireguard-go",
  async (t) => {
    const worst = async (target: TargetProgram, source: SourceName, known: boolean): Promise<number> => {
      using siege = new Siege()
      const it = await siege.start(target, known)
      const flood = await siege.flood('right-mac1', source, PER_SECOND)
      await sleep(SETTLE_MS)
      const { tries } = await siege.knock(4, 6)
      await flood.stop()
      await it.stop()
      return Math.max(...tries.map((count) => count ?? Number.POSITIVE_INFINITY))
    }
    for (const [source, known] of [
      ['own', false],
      ['peer', true],
    ] as const) {
      const theirs = await worst({ name: 'wireguard-go', wireguardGo: 'wireguard-go' }, source, known)
      const ours = await worst(UDPTUN, source, known)
      t.ok(ours <= Math.max(2, theirs), `from ${source}: ${ours} tries, wireguard-go ${theirs}`)
    }
    t.ok((await worst(UDPTUN, 'neighbours', false)) <= 2, 'spoofed neighbours do not take the send buffer')
  },
)

t.test('an established session renews its keys as if nothing were', async (t) => {
  using siege = new Siege()
  const target = await siege.start(UDPTUN, false)
  const peer = await siege.startPeer()
  for (const kind of ['cookie-reply', 'right-mac1'] as const) {
    const flood = await siege.flood(kind, 'peer', PER_SECOND)
    const { renewals, lostPercent } = await siege.renewals(peer, 8)
    await flood.stop()
    t.ok(renewals >= 3, `${kind}: ${renewals} renewals`)
    t.ok(lostPercent < 5, `${lostPercent} % of pings lost`)
  }
  await peer.stop()
  await target.stop()
})
