import t from 'tap'
import { parseOptions } from '../../../../bench/macro/options.js'
import { remainingSeconds, steps } from '../../../../bench/macro/plan.js'
import { parseUnderlay } from '../../../../bench/macro/underlay.js'

const estimateSeconds = (...args: string[]) =>
  steps(parseOptions(args).plan).reduce((sum, step) => sum + step.estimateSeconds, 0)

t.test(
  'rounds are interleaved: every peer once on every underlay before any has its second turn, another first',
  async (t) => {
    const { plan } = parseOptions(['--peers', 'underlay,article', '--rounds', '2'])
    t.same(
      steps(plan).map(({ round, underlay, peer }) => `${round} ${underlay.offload} ${peer.name}`),
      [
        '1 on underlay',
        '1 on article',
        '1 off underlay',
        '1 off article',
        '2 on article',
        '2 on underlay',
        '2 off article',
        '2 off underlay',
      ],
    )
  },
)

t.test('the usual suite is planned for fifteen minutes, the quick one for ninety seconds', async (t) => {
  // Of the time allowed, a fifth is left for a machine slower than the one the estimates are from.
  t.ok(estimateSeconds() < 0.8 * 900, `${estimateSeconds()} s`)
  t.ok(estimateSeconds('--quick') < 0.8 * 90, `${estimateSeconds('--quick')} s`)
})

t.test('what is left is corrected by how long the steps so far have taken', async (t) => {
  const all = steps(parseOptions(['--peers', 'underlay', '--rounds', '4', '--underlay', '']).plan)
  const [{ estimateSeconds }] = all
  t.equal(remainingSeconds(all, 0, 0), 4 * estimateSeconds)
  t.equal(remainingSeconds(all, 2, 2 * estimateSeconds), 2 * estimateSeconds)
  t.equal(remainingSeconds(all, 2, 6 * estimateSeconds), 6 * estimateSeconds)
  t.equal(remainingSeconds(all, 4, 6 * estimateSeconds), 0)
})

t.test('the usual run', async (t) => {
  const { plan, generator, json, before, after, out } = parseOptions([])
  t.same(
    plan.peers.map(({ name }) => name),
    ['underlay', 'vxlan', 'article', 'wireguard-go', 'udptun-fast', 'udptun-fast-workers'],
  )
  t.same(
    plan.loads.map(({ name }) => name),
    ['tcp-1', 'tcp-8', 'tcp-both', 'udp-64', 'udp-1400', 'ping-idle', 'ping-loaded', 'start'],
  )
  t.same(
    plan.underlays.map(({ name }) => name),
    ['mtu=1500,offload=on', 'mtu=1500,offload=off'],
  )
  t.ok(plan.rounds >= 5)
  t.match({ generator, json, before, after, out }, { json: false })
})

t.test('the quick run: two rounds, three peers, one load', async (t) => {
  const { plan } = parseOptions(['--quick'])
  t.equal(plan.rounds, 2)
  t.same(
    plan.peers.map(({ name }) => name),
    ['underlay', 'article', 'udptun-fast'],
  )
  t.same(
    plan.loads.map(({ name }) => name),
    ['tcp-1'],
  )
})

t.test('flags', async (t) => {
  const { plan, out, json, generator } = parseOptions([
    ...['--peers', 'article,underlay,article', '--loads', 'rfc2544-64', '--rounds', '7', '--seconds', '3'],
    ...['--underlay', 'mtu=9000', '--underlay', 'rate=100Mbit,offload=off', '--underlay', 'mtu=9000'],
    ...['--out', '/tmp/x', '--json', '--generator', 'own'],
  ])
  t.same(
    plan.peers.map(({ name }) => name),
    ['article', 'underlay'],
    'in the order asked for, each once',
  )
  t.same(
    plan.loads.map(({ name }) => name),
    ['rfc2544-64'],
  )
  t.same(
    plan.underlays.map(({ name }) => name),
    ['mtu=9000,offload=on', 'mtu=1500,offload=off,rate=100mbit'],
  )
  t.match(
    { ...plan, out, json, generator },
    { rounds: 7, seconds: 3, out: '/tmp/x', json: true, generator: 'own' },
  )
  t.ok(parseOptions(['--peers', 'all']).plan.peers.length >= 10)
})

t.test('mistakes are named, with what may be written instead', async (t) => {
  t.throws(() => parseOptions(['--peers', 'article,openvnp']), {
    message: /no peer "openvnp"; choose from underlay, .*openvpn/,
    exitCode: 2,
  })
  t.throws(() => parseOptions(['--loads', 'tcp']), {
    message: /no load "tcp"; choose from tcp-1,/,
    exitCode: 2,
  })
  t.throws(() => parseOptions(['--compare', 'a', 'b', 'c']), { message: /one or two files/, exitCode: 2 })
  t.throws(() => parseOptions(['--compare', '/nonexistent.json']), { message: /nonexistent/, exitCode: 2 })
})

t.test('underlays', async (t) => {
  t.match(parseUnderlay(''), { mtuBytes: 1500, offload: 'on', rate: undefined, name: 'mtu=1500,offload=on' })
  t.match(parseUnderlay('offload=off,mtu=1400,rate=2.5gbit'), {
    mtuBytes: 1400,
    offload: 'off',
    rate: '2.5gbit',
    title: 'MTU 1400, without offloads, 2.5gbit',
  })
  t.match(parseUnderlay('offload=software'), { title: 'MTU 1500, software segmentation and GRO' })
  for (const [text, message] of [
    ['mtu=500', /from 576 to 65535, not "500"/],
    ['mtu=', /not ""/],
    ['offload=maybe', /on, software or off, not "maybe"/],
    ['rate=fast', /100mbit, not "fast"/],
    ['colour=blue', /"colour=blue" is no property/],
  ] as const) {
    t.throws(() => parseUnderlay(text), { message, exitCode: 2 }, text)
  }
})
