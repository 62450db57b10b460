/** Somebody who forges ICMP errors, as whoever knows both endpoints and ports can. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { internetChecksum } from '../../src/wire/checksum.js'
import { startFlow } from './flows.js'
import { ok } from './lab.js'
import { PacketSocket } from './packet-socket.js'
import { pathOf, startEnds, untilPathMtu } from './path.js'

/** "Fragmentation needed" from a router's address, about a UDP datagram from `from` to `to`. */
function forged(from: string, to: string, router: string, mtuBytes: number, destinationPort = 5149): Buffer {
  const address = (text: string) => Buffer.from(text.split('.').map(Number))
  const ip = (source: string, destination: string, protocol: number, payload: Buffer) => {
    const header = Buffer.alloc(20)
    header[0] = 0x45
    header.writeUInt16BE(20 + payload.length, 2)
    header.writeUInt16BE(0x4000, 6)
    header[8] = 64
    header[9] = protocol
    address(source).copy(header, 12)
    address(destination).copy(header, 16)
    header.writeUInt16BE(internetChecksum(header, 0, 20), 10)
    return Buffer.concat([header, payload])
  }
  const udp = Buffer.alloc(8)
  udp.writeUInt16BE(5149, 0)
  udp.writeUInt16BE(destinationPort, 2)
  udp.writeUInt16BE(1480, 4)
  const icmp = Buffer.concat([
    Buffer.from([3, 4, 0, 0, 0, 0, mtuBytes >>> 8, mtuBytes & 0xff]),
    ip(from, to, 17, udp),
  ])
  icmp.writeUInt16BE(internetChecksum(icmp, 0, icmp.length), 2)
  return ip(router, from, 1, icmp)
}

t.test('forged "fragmentation needed" at a running transfer: throughput and MTU stay', async (t) => {
  using path = pathOf(1500, 1500)
  const ends = await startEnds(path)
  await untilPathMtu(ends.a, 1500)
  const [router] = path.routers
  const macOf = async (host: typeof router, device: string) => {
    const [{ address }] = JSON.parse(await ok(host, 'ip', '-j', 'link', 'show', 'dev', device))
    return Buffer.from(address.replaceAll(':', ''), 'hex')
  }
  const ethernet = Buffer.concat([
    await macOf(path.a, 'eth0'),
    await macOf(router, 'left'),
    Buffer.from([8, 0]),
  ])
  using wire = new PacketSocket(router, 'left')
  const { a, b } = path.underlay
  const lies = [552, 576, 1000, 1400].map((mtu) => Buffer.concat([ethernet, forged(a, b, '198.18.0.2', mtu)]))

  const throughput = async (lie: boolean) => {
    const flow = await startFlow(path.a, path.b, '10.9.0.2', 2)
    let lying = true
    const forging = (async () => {
      for (let i = 0; lie && lying; i++) {
        wire.trySend(lies[i % lies.length])
        wire.flush()
        await sleep(5)
      }
    })()
    const { bytes, seconds, error, longestStallMs } = await flow.ended
    lying = false
    await forging
    t.equal(error, null)
    t.ok(
      longestStallMs < 1_000,
      `${lie ? 'with' : 'without'} forgeries the longest stall is ${Math.round(longestStallMs)} ms`,
    )
    return (bytes * 8) / seconds / 1e9
  }
  const honest: number[] = []
  const lied: number[] = []
  for (let round = 0; round < 3; round++) {
    honest.push(await throughput(false))
    lied.push(await throughput(true))
  }
  const { icmp, peers, mtu_bytes } = await ends.a.status()
  t.ok(icmp.too_big > 500, `${icmp.too_big} forgeries were taken in`)
  t.equal(mtu_bytes, 1458)
  t.match(peers[0].path_mtu, { bytes: 1500, how: 'acknowledged' })
  t.equal(
    ends.a.log.filter(({ msg }) => /the MTU is/.test(String(msg))).length,
    0,
    'and it never was another',
  )
  const text = (rates: number[]) => rates.map((rate) => rate.toFixed(2)).join(', ')
  t.comment(`Gbit/s without: ${text(honest)}; with forgeries: ${text(lied)}`)
  const least = Math.min(...honest)
  t.ok(Math.max(...lied) > 0.6 * least, 'the throughput is what it is without, but for the noise')
})

t.test('an error that quotes what was never sent counts for nothing', async (t) => {
  using path = pathOf(1500, 1500)
  const ends = await startEnds(path)
  await untilPathMtu(ends.a, 1500)
  const [router] = path.routers
  using wire = new PacketSocket(router, 'left')
  const link = async (host: typeof router, device: string) =>
    Buffer.from(
      JSON.parse(await ok(host, 'ip', '-j', 'link', 'show', 'dev', device))[0].address.replaceAll(':', ''),
      'hex',
    )
  const ethernet = Buffer.concat([
    await link(path.a, 'eth0'),
    await link(router, 'left'),
    Buffer.from([8, 0]),
  ])
  const { a, b } = path.underlay
  const before = (await ends.a.status()).outbound
  for (let i = 0; i < 100; i++) {
    wire.send(Buffer.concat([ethernet, forged(a, '203.0.113.9', '198.18.0.2', 600)]))
    wire.send(Buffer.concat([ethernet, forged(a, b, '198.18.0.2', 600, 33_434 + i)]))
  }
  await sleep(500)
  t.match((await ends.a.status()).peers[0].path_mtu, { bytes: 1500, how: 'acknowledged' })
  t.ok((await ends.a.status()).outbound.frames - before.frames < 50)
})
