import { pino } from 'pino'
import t from 'tap'
import { PeerNews } from '../../../../src/control/peer/peer-news.js'

function made() {
  const lines: { level: number; msg: string }[] = []
  const time = { nowMs: 0 }
  const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const peer = { name: 'b' }
  return { news: new PeerNews({ log, clock: { nowMs: () => time.nowMs } }, peer), lines, time, peer }
}

t.test('a peer that is down is a warning; what comes before and after is not', async (t) => {
  const { news, lines, peer } = made()
  news.state('up', 'new')
  news.state('silent', 'up')
  news.state('down', 'silent')
  peer.name = 'bob'
  news.state('up', 'down')
  t.same(
    lines.map(({ level, msg }) => [level, msg]),
    [
      [30, 'b is heard'],
      [30, 'b is silent'],
      [40, 'b is down: it answers no more'],
      [30, 'bob is heard again'],
    ],
  )
})

t.test('the address that it speaks to is said when it is another one, and not too often', async (t) => {
  const { news, lines, time } = made()
  news.source(undefined)
  news.source('10.0.0.1')
  news.source('10.0.0.1')
  for (let forged = 0; forged < 100; forged++) news.source(`10.0.1.${forged}`)
  t.same(
    lines.map(({ msg }) => msg),
    ['b speaks to 10.0.0.1, an address of this host, and is answered from there'],
  )
  time.nowMs = 10_000
  news.source('10.0.0.1')
  t.equal(lines.length, 2)
})
