import { stripVTControlCharacters } from 'node:util'
import t from 'tap'
import { PingStatistics } from '../../../../src/cli/ping/statistics.js'
import { pingHead, pingLine, pingSummary } from '../../../../src/cli/ping/text.js'
import { peerOf } from '../top/report.js'

const plain = (text: string) => stripVTControlCharacters(text)

t.test('a line for each ping says what has become of it', async (t) => {
  const line = (outcome: Parameters<typeof pingLine>[1]) => plain(pingLine(12, outcome))
  const answered = { answer: 'answered', path_mtu_back_bytes: 1500, packet_bytes: 58 } as const
  t.equal(line({ ...answered, rtt_ms: 0.4123 }), '   12  answered  0.412 ms')
  t.equal(line({ ...answered, rtt_ms: 41.23 }), '   12  answered  41.2 ms')
  t.equal(line({ answer: 'none', packet_bytes: 58 }), '   12  no answer')
  t.equal(
    line({ answer: 'unsent', reason: 'no_route', packet_bytes: 58 }),
    '   12  not sent  there is no route to it',
  )
  t.equal(
    line({ answer: 'unsent', reason: 'EPERM', packet_bytes: 58 }),
    '   12  not sent  this host says EPERM',
  )
})

t.test('the first line says whom, how and how long', async (t) => {
  const peer = peerOf('office')
  t.equal(
    plain(pingHead({ peer, icmpTo: undefined }, 'tap0', 58)),
    'office 192.0.2.2:5149 through tap0, packets of 58 bytes',
  )
  t.equal(
    plain(pingHead({ peer, icmpTo: '10.9.0.2' }, 'wg0', 144)),
    'office 10.9.0.2 by ICMP through wg0, packets of 144 bytes and padding',
  )
})

t.test('the summary has loss, round trips and both path MTUs', async (t) => {
  const statistics = new PingStatistics()
  const lines = (byIcmp = false, to: number | null = 1500, back: number | null = 1400) =>
    pingSummary(statistics, { to, back }, byIcmp).map(plain)
  statistics.add(undefined)
  t.same(lines(true, 1500, null), [
    '1 sent, 0 answered, 100 % lost',
    'path MTU 1500 to it, back not known, because this end does not tell',
  ])
  statistics.add(1)
  statistics.add(3)
  t.same(lines(), [
    '3 sent, 2 answered, 33.3 % lost',
    'round trip min 1.00  avg 2.00  max 3.00  mdev 1.00  ms',
    'path MTU 1500 to it, 1400 back',
  ])
  t.equal(lines(false, null, null)[2], 'path MTU to it not known, back not known')
})
