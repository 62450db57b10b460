import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { BROADCAST, ETHERTYPE, frame } from '../../support/hosts/frames.js'
import { pings, until, untilPing } from '../../support/hosts/lab.js'
import { arrivals, Network } from '../../support/hosts/network.js'
import { transfer } from '../../support/hosts/transfer.js'

const HOSTS = 20
const TRANSFER_BYTES = 20_000_000

const network = new Network(HOSTS)
t.teardown(() => network[Symbol.dispose]())
const others = Array.from({ length: HOSTS - 1 }, (_, index) => index + 1)
const tunnels = await network.mesh()

t.test('twenty hosts on one machine reach each other', async (t) => {
  for (const index of others) await untilPing(network.hosts[index], network.overlay(0), 20_000)
  for (const index of others) {
    const next = (index % (HOSTS - 1)) + 1
    t.ok(await pings(network.hosts[index], network.overlay(next)), `${index} to ${next}`)
  }
})

t.test('a broadcast comes to all nineteen others, once', async (t) => {
  const taps = others.map((index) => network.socket(index, 'tap0'))
  const bytes = frame(BROADCAST, ETHERTYPE.experimental, Buffer.from('to all of you'.padEnd(60)))
  network.socket(0, 'tap0').send(bytes)
  await sleep(1_000)
  const counts = await arrivals(taps, bytes)
  t.same(
    counts,
    others.map(() => 1),
  )
})

t.test('two of them transfer, and the others get nothing of it', async (t) => {
  const received = async () =>
    (await Promise.all(others.slice(1).map((index) => tunnels[index].status()))).reduce(
      (sum, { inbound }) => sum + inbound.bytes,
      0,
    )
  await until('it is quiet', async () => {
    const before = await received()
    await sleep(500)
    return (await received()) - before < 10_000
  })
  const before = await received()
  const { listener, connector } = await transfer({
    listener: network.hosts[0],
    address: network.overlay(0),
    connector: network.hosts[1],
    bytes: TRANSFER_BYTES,
  })
  t.same(listener.received, connector.sent)
  const came = (await received()) - before
  t.ok(came < TRANSFER_BYTES / 100, `${came} bytes came to the others`)
})
