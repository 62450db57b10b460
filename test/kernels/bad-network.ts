/** TCP through the tunnel and beside it, in a network that is bad by netem. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { accounted } from '../support/hosts/accounts.js'
import { ok, untilPing } from '../support/hosts/lab.js'
import { type Ends, startEnds, untilPathMtu } from '../support/hosts/path.js'
import type { Check } from './check.js'
import { BadNetwork, droppedIn, tcpRate } from './netem.js'
import { othersOf, Passing } from './passing.js'

const WITHIN_MS = 300_000

/** How long each turn is. */
const SECONDS = 15

/**
 * TCP beside the tunnel and through it take turns. So many there are at least and at most. There is no further one once the
 * share is good.
 */
export interface Turns {
  readonly least: number
  readonly most: number
}

const LEAST_SHARE = 0.9

/** How long nothing new may have passed before both ends are counted, because what is on its way counts at one only. */
const QUIET_MS = 1_000

/** So low that the emulated processor does not bound it, and a queue that it empties in about a second. */
const LINK = 'rate 500kbit limit 40'

let network: BadNetwork
let ends: Ends

/** The same counts twice, {@link QUIET_MS} apart. */
async function quiet<T>(look: () => Promise<T>): Promise<T> {
  let last = await look()
  for (let tries = 0; tries < 20; tries++) {
    await sleep(QUIET_MS)
    const now = await look()
    if (isDeepStrictEqual(now, last)) break
    last = now
  }
  return last
}

/**
 * Compares what both ends have counted while `work` was done with what has passed their devices.
 * @param damages whether the network damages, so that a datagram may look like something else
 * @returns what there was, in words
 */
async function counted(work: () => Promise<void>, damages: boolean): Promise<string> {
  const look = async () => {
    const [a, b] = [await ends.a.status(), await ends.b.status()]
    return { frames: a.outbound.frames, known: accounted(b), dropped: droppedIn(network.path.b) }
  }
  const before = await quiet(look)
  using atA = new Passing(network.path.a)
  using atB = new Passing(network.path.b)
  await work()
  const after = await quiet(look)
  const [frames, known] = [after.frames - before.frames, after.known - before.known]
  const drops = [...after.dropped].flatMap(([name, count]) => {
    const more = count - (before.dropped.get(name) ?? 0)
    return more > 0 ? [[name, more] as const] : []
  })
  const dropped = sum(drops.map(([, count]) => count))
  const [{ sent }, { came }] = [atA.seen, atB.seen]
  const [left, arrived] = [sent.get('frame') ?? 0, came.get('frame') ?? 0]
  const inKernel = drops.length === 0 ? 'none' : drops.map(([name, count]) => `${count} (${name})`).join(', ')
  const text = `${frames} frames in ${left} datagrams; ${arrived} came, ${known} of them carried or counted, and ${inKernel} dropped by the kernel; beside them, ${othersOf(sent)}`
  assert.equal(left, frames, `as many datagrams as frames: ${text}`)
  // Damage to an Ethernet header is counted nowhere.
  const uncounted = arrived - known - dropped
  const most = damages ? 5 + arrived / 1_000 : 0
  // What the kernel drops may also be a control frame, which is not among those that came.
  const isWhole = uncounted <= most && (damages || uncounted >= -dropped)
  assert.ok(isWhole, `nothing is dropped uncounted: ${text}`)
  return text
}

/** TCP through the tunnel is not much slower than beside it. @param settings as for {@link BadNetwork.set} */
export function bad(settings: string, { least, most }: Turns): Check {
  return async () => {
    const { path } = network
    await network.set(`${LINK} ${settings}`)
    const rates = { beside: [] as number[], through: [] as number[] }
    const share = () => sum(rates.through) / sum(rates.beside)
    let account = ''
    for (let round = 0; round < most; round++) {
      if (round >= least && share() >= LEAST_SHARE) break
      rates.beside.push(await tcpRate(path, path.underlay.b, SECONDS))
      account = await counted(async () => {
        rates.through.push(await tcpRate(path, '10.9.0.2', SECONDS))
      }, settings.includes('corrupt'))
    }
    const { path_mtu } = (await ends.a.status()).peers[0]
    assert.equal(path_mtu?.bytes, 1500)
    const turns = `${inWords(rates.through)} Mbit/s through it, ${inWords(rates.beside)} beside it`
    const text = `${share().toFixed(2)} of TCP beside it (${turns}); ${account}`
    assert.ok(share() >= LEAST_SHARE, text)
    return text
  }
}

const sum = (all: readonly number[]) => all.reduce((one, other) => one + other, 0)

const inWords = (all: readonly number[]) => all.map((it) => it.toFixed(2)).join(' ')

/** Makes the network and the tunnels, which are there until the checks end. */
export const thereIsNetem: Check = async () => {
  network = await BadNetwork.make()
  ends = await startEnds(network.path)
  for (const end of [ends.a, ends.b])
    await untilPathMtu(end, 1500, ['acknowledged', 'told', 'reached'], WITHIN_MS)
  await untilPing(network.path.a, '10.9.0.2')
  const bare = await tcpRate(network.path, network.path.underlay.b, 4)
  const tunnel = await tcpRate(network.path, '10.9.0.2', 6)
  await network.set('delay 1ms')
  await ok(network.path.routers[0], 'tc', 'qdisc', 'show', 'dev', 'right')
  return `without it: TCP ${bare.toFixed(1)} Mbit/s beside the tunnel, ${tunnel.toFixed(1)} Mbit/s through it`
}
