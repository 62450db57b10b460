import t from 'tap'
import { Checks, type ChecksContext } from '../../../../src/control/mesh/checks.js'
import { triesBudget } from '../../../../src/control/mesh/tries.js'
import { AF_INET } from '../../../../src/linux/constants.js'
import { type Endpoint, encodeSockaddr } from '../../../../src/linux/sockaddr.js'

const PEERS = 150
const PLACES = 8

const placeOf = (row: number, host: number): Endpoint => ({
  address: `10.${host}.${row >> 8}.${row & 0xff}`,
  port: 1,
})

t.test('if the budget is always short, all peers have their turns', async (t) => {
  const way = { kind: 'host', underlay: { gateway: '10.0.0.1' } }
  const all = Array.from({ length: PEERS }, (_, row) => ({
    row,
    name: `m${row}`,
    settings: { introduced_by: 'hub', public_key: Buffer.alloc(32, `${row}.`) },
    carries: true,
    isRelayed: false,
    isFirst: true,
    endpoint: placeOf(row, 1),
    underlay: way.underlay,
    traffic: { receivedFrames: 0 },
    ways: { tried: 0 },
    place: {
      tryLook: (endpoint: Endpoint) => ({ endpoint, way, sockaddr: encodeSockaddr(AF_INET, endpoint) }),
    },
  }))
  const placesOf = new Map(
    all.map(({ row, settings }) => [
      settings.public_key.toString('base64'),
      Array.from({ length: PLACES }, (_, host) => placeOf(row, host)),
    ]),
  )
  const checked = new Map<number, number>()
  const checks = new Checks(
    {
      roster: { all, at: (row: number) => all[row] },
      channel: {
        newToken: () => 1n,
        roundTrips: { smoothedMs: () => 20 },
        sendTo: (row: number) => checked.set(row, (checked.get(row) ?? 0) + 1),
      },
      faults: { run: (_: string, work: () => void) => work() },
    } as unknown as ChecksContext,
    triesBudget(),
  )
  for (let nowMs = 0; nowMs < 300_000; nowMs += 100) {
    for (const it of all) it.traffic.receivedFrames++
    checks.look((key) => placesOf.get(key) ?? [], nowMs)
  }
  const least = Math.min(...all.map(({ row }) => checked.get(row) ?? 0))
  t.ok(least >= 3, `${least} checks of each peer at the least`)
})
