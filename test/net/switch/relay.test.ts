import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { BROADCAST, ETHERTYPE, frame } from '../../support/hosts/frames.js'
import { IN_VAIN, pings, untilPing } from '../../support/hosts/lab.js'
import { arrivals, Network } from '../../support/hosts/network.js'
import { transfer } from '../../support/hosts/transfer.js'

/** Host 0 is the hub; the spokes know nobody but the hub. */
const HUB = 0
const SPOKES = [1, 2, 3]
const TRANSFER_BYTES = 20_000_000
const SETTLE_MS = 300
/** Where a datagram's frame says what it is: behind Ethernet, IPv4, UDP, and two MACs. Probes of the path are no traffic. */
const INNER_TYPE_AT = 14 + 20 + 8 + 12
const ETHERTYPE_CONTROL = 0x88b5

async function star(...args: string[]) {
  const network = new Network(SPOKES.length + 1)
  const [hub] = await Promise.all([
    network.start(HUB, SPOKES, ...args),
    ...SPOKES.map((spoke) => network.start(spoke, [HUB])),
  ])
  for (const spoke of SPOKES) await untilPing(network.hosts[HUB], network.overlay(spoke))
  return { network, hub }
}

t.test('without relay spokes reach the hub and not each other', async (t) => {
  const { network } = await star()
  t.teardown(() => network[Symbol.dispose]())
  t.notOk(await pings(network.hosts[1], network.overlay(2), ...IN_VAIN))
  t.ok(await pings(network.hosts[1], network.overlay(HUB)))
})

t.test('with relay spokes talk through the hub', async (t) => {
  const { network, hub } = await star('--relay')
  t.teardown(() => network[Symbol.dispose]())
  await untilPing(network.hosts[1], network.overlay(2))
  await untilPing(network.hosts[2], network.overlay(3))

  const third = network.socket(3, 'eth0')
  const hubTap = network.socket(HUB, 'tap0')
  const { listener, connector } = await transfer({
    listener: network.hosts[2],
    address: network.overlay(2),
    connector: network.hosts[1],
    bytes: TRANSFER_BYTES,
  })
  t.same(listener.received, connector.sent, 'a long transfer arrives as it was sent')
  t.same(connector.received, listener.sent)
  const large = ({ bytes }: { bytes: Buffer }) => bytes.length > 1000
  const carried = (it: { bytes: Buffer }) =>
    large(it) && it.bytes.readUInt16BE(INNER_TYPE_AT) !== ETHERTYPE_CONTROL
  t.same(await third.capture(1, carried, 1), [], 'a third spoke gets nothing of it')
  t.same(await hubTap.capture(1, large, 1), [], "nor the hub's own device")

  const taps = [HUB, ...SPOKES].map((index) => network.socket(index, 'tap0'))
  const bytes = frame(BROADCAST, ETHERTYPE.experimental, Buffer.from('a broadcast of a spoke'.padEnd(60)))
  for (const tap of taps) tap.flush()
  taps[1].send(bytes)
  await sleep(SETTLE_MS)
  const counts = await arrivals(taps, bytes)
  t.same(counts, [1, 0, 1, 1], 'a broadcast comes to all others once, and not back')

  const { drops, peers } = await hub.status()
  t.equal(drops.send_failed + drops.unreachable + drops.malformed, 0)
  for (const { name, outbound, inbound } of peers) {
    t.ok(outbound.frames > 0 && inbound.frames > 0, `${name} is counted for`)
  }
})
