import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { IN_VAIN, pings, startTunnel, until, untilPing } from '../../support/hosts/lab.js'
import { Network } from '../../support/hosts/network.js'

/** Three hosts in tun mode; behind host 2 is a network of its own, on its loopback. */
const BEHIND = '10.77.0.1'

const network = new Network(3)
t.teardown(() => network[Symbol.dispose]())
const [a, b, c] = network.hosts
c.configure('lo', [`${BEHIND}/32`])

/** Starts host `index` with a file that says what is behind the others. */
async function start(index: number) {
  const path = join(t.testdirName, `${index}.yaml`)
  mkdirSync(t.testdirName, { recursive: true })
  const peers = network.hosts.flatMap((_, peer) => {
    if (peer === index) return []
    const prefixes = peer === 2 ? ', prefixes: [10.77.0.0/24]' : ''
    return `  - {name: h${peer}, endpoint: ${network.underlay(peer)}, addresses: [${network.overlay(peer)}]${prefixes}}`
  })
  writeFileSync(path, ['mode: tun', `local: [${network.overlay(index)}]`, 'peers:', ...peers, ''].join('\n'))
  return startTunnel(network.hosts[index], '--config', path)
}

const tunnels = await Promise.all([0, 1, 2].map(start))
await untilPing(a, network.overlay(1))
const wires = [1, 2].map((index) => network.socket(index, 'eth0'))

t.test('the destination decides, by address and by prefix', async (t) => {
  for (const wire of wires) wire.flush()
  const marked = ['-p', 'c0ffee', '-s', '200']
  t.ok(await pings(a, network.overlay(1), ...marked))
  t.ok(await pings(a, BEHIND, ...marked))
  const mark = Buffer.from('c0ffeec0ffee', 'hex')
  const requests = async (wire: (typeof wires)[number], to: string) => {
    const address = Buffer.from(to.split('.').map(Number))
    const came = await wire.capture(
      Number.POSITIVE_INFINITY,
      ({ outgoing, bytes }) => !outgoing && bytes.includes(mark) && bytes.includes(address),
      1,
    )
    return came.length
  }
  t.same([await requests(wires[0], BEHIND), await requests(wires[1], BEHIND)], [0, 1])
  t.ok(await pings(b, BEHIND), 'from the third, too')
})

t.test('what is for nobody is dropped and counted', async (t) => {
  const before = (await tunnels[0].status('tun0')).drops.no_route
  t.notOk(await pings(a, '10.9.0.200', ...IN_VAIN))
  await until('it is counted', async () => (await tunnels[0].status('tun0')).drops.no_route > before)
})

t.test('a packet must come from an address of the peer that sends it', async (t) => {
  b.configure('lo', ['10.77.0.9/32'])
  const before = (await tunnels[0].status('tun0')).drops.not_allowed
  t.notOk(
    await pings(b, network.overlay(0), '-I', '10.77.0.9', ...IN_VAIN),
    "host 1 uses an address of host 2's",
  )
  await until('it is counted', async () => (await tunnels[0].status('tun0')).drops.not_allowed > before)
  const { peers } = await tunnels[0].status('tun0')
  t.ok((peers.find(({ name }) => name === 'h1')?.inbound.dropped ?? 0) > 0, 'against that peer')
  t.ok(await pings(c, network.overlay(0), '-I', BEHIND), 'host 2 may')
})
