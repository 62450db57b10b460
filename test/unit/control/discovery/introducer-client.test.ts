import t from 'tap'
import { IntroducerClient } from '../../../../src/control/discovery/introducer-client.js'
import { Introducer } from '../../../../src/control/mesh/introducer.js'
import type { Introduction, ToldMember } from '../../../../src/wire/introduction.js'

const memberOf = (number: number): ToldMember => ({
  publicKey: new Uint8Array(32).fill(number),
  name: `m${number}`,
  networks: [],
  endpoints: [],
})

const members = (count: number) => Array.from({ length: count }, (_, index) => memberOf(1 + index))

/** An introducer and one member, with messages that are lost as `lost` says. */
function pair(lost: (index: number) => boolean = () => false) {
  const sent: Introduction[] = []
  const client = new IntroducerClient()
  const introducer = new Introducer({
    newEpoch: () => 7,
    send: (_row, it) => {
      sent.push(it)
      if (!lost(sent.length)) client.take(it)
    },
  })
  return { sent, client, introducer }
}

t.test('a member asks at once when there is a session, and then seldom', async (t) => {
  const { client, introducer } = pair()
  const times: number[] = []
  for (let ms = 0; ms < 60_000; ms += 100) {
    const position = client.ask(ms < 5_000 ? undefined : 5_000, ms)
    introducer.look(members(3), () => true, ms)
    if (position === undefined) continue
    times.push(ms)
    introducer.asked(0, position, ms)
  }
  t.equal(times[0], 5_000)
  t.equal(client.keys.length, 3)
  t.ok(times.length < 10, `${times.length} questions in a minute`)
})

t.test('two hundred members are learnt in bursts, each of which is acknowledged', async (t) => {
  const { sent, client, introducer } = pair()
  let ms = 0
  for (; ms < 10_000 && client.keys.length < 200; ms += 100) {
    const position = client.ask(1, ms)
    introducer.look(members(200), () => true, ms)
    if (position !== undefined) introducer.asked(0, position, ms)
  }
  t.ok(ms <= 1_000, `${ms} ms`)
  t.equal(sent.filter(({ kind }) => kind === 'member').length, 200, 'none is sent twice')
})

t.test('a change is told at once, and again until it is acknowledged, but not for ever', async (t) => {
  const { sent, client, introducer } = pair()
  introducer.asked(0, { epoch: 0, revision: 0 }, 0)
  sent.length = 0
  for (let ms = 100; ms < 60_000; ms += 100) introducer.look(members(1), () => true, ms)
  t.equal(sent.length, 13, 'who does not acknowledge it is told once, and a dozen times more')
  t.equal(client.keys.length, 1)
  sent.length = 0
  introducer.asked(0, client.ask(1, 60_000) ?? { epoch: 0, revision: 0 }, 60_000)
  t.match(sent, [{ kind: 'nothing' }])
  for (let ms = 60_100; ms < 70_000; ms += 100) introducer.look(members(1), () => true, ms)
  t.equal(sent.length, 1)
  introducer.look(members(2), (row) => row !== 0, 70_000)
  introducer.look(members(3), () => true, 70_100)
  t.equal(sent.length, 1, 'who is no peer any more is told nothing')
})

t.test('an introducer that does not answer is asked less, and may have restarted', async (t) => {
  const client = new IntroducerClient()
  const asks = (session: number, fromMs: number, toMs: number) => {
    let count = 0
    for (let ms = fromMs; ms < toMs; ms += 100) if (client.ask(session, ms) !== undefined) count++
    return count
  }
  t.ok(asks(1, 0, 600_000) <= 15)
  t.notOk(client.isLost, 'it may introduce nobody')
  client.take({ kind: 'nothing', epoch: 1, after: 0, revision: 0, latest: 0 })
  asks(1, 600_000, 620_000)
  t.ok(client.isLost)
  t.equal(asks(2, 620_000, 620_100), 1, 'with new keys it is asked at once')
  t.notOk(client.isLost)
})
