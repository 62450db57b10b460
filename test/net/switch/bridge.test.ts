import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { connect, Host } from '../../../src/lab/host.js'
import { getLink, setLink } from '../../../src/linux/interface.js'
import { STORM_BURST_FRAMES, STORM_FRAMES_PER_S } from '../../../src/memory/storm-limit.js'
import { BROADCAST, ETHERTYPE, frame } from '../../support/hosts/frames.js'
import { ok, pings, until, untilPing } from '../../support/hosts/lab.js'
import { bridge, Network, OVERLAY_MTU_BYTES } from '../../support/hosts/network.js'

const MOVED_WITHIN_MS = 2_000

/** At a time; each goes round for ever. */
const BROADCASTS = 400

/** A host behind another: in the same bridge as its tap. */
function behind(host: Host, port: string, guest: Host, device: string, addresses: readonly string[]): void {
  connect({ host, device: port, addresses: [] }, { host: guest, device, addresses }, OVERLAY_MTU_BYTES)
}

const setUp = (host: Host, device: string, up: boolean) =>
  host.netlink((netlink) => setLink(netlink, getLink(netlink, device).index, { up }))

t.test('hosts behind bridges talk, and one that moves to another end is reached at once', async (t) => {
  const network = new Network(3)
  t.teardown(() => network[Symbol.dispose]())
  await network.mesh()
  const [a, b, c] = network.hosts
  const still = new Host('still')
  const roaming = new Host('roaming')
  t.teardown(() => {
    still.close()
    roaming.close()
  })
  behind(a, 'guest', still, 'eth0', ['10.9.0.50/24'])
  behind(b, 'guest', roaming, 'at-b', [])
  behind(c, 'guest', roaming, 'at-c', [])
  for (const host of network.hosts) bridge(host, 'tap0', 'guest')
  setUp(roaming, 'at-c', false)
  const mac = Uint8Array.from([0x02, 0x77, 0, 0, 0, 9])
  for (const device of ['at-b', 'at-c']) {
    roaming.netlink((netlink) => setLink(netlink, getLink(netlink, device).index, { mac }))
    roaming.run(() => writeFileSync(`/proc/sys/net/ipv4/conf/${device}/arp_notify`, '1'))
  }
  roaming.configure('at-b', ['10.9.0.60/24'])
  await untilPing(still, '10.9.0.60')
  t.ok(await pings(still, '10.9.0.60', '-s', String(OVERLAY_MTU_BYTES - 28), '-M', 'do'), 'full frames')

  const goTo = (device: string, from: string) => {
    roaming.netlink((netlink) => setLink(netlink, getLink(netlink, from).index, { up: false }))
    roaming.configure(device, ['10.9.0.60/24'])
  }
  goTo('at-c', 'at-b')
  const announced = await untilPing(still, '10.9.0.60')
  t.ok(announced < MOVED_WITHIN_MS, `${announced.toFixed(0)} ms after it moved and announced itself`)

  for (const device of ['at-b', 'at-c']) {
    roaming.run(() => writeFileSync(`/proc/sys/net/ipv4/conf/${device}/arp_notify`, '0'))
  }
  roaming.netlink((netlink) => setLink(netlink, getLink(netlink, 'at-c').index, { up: false }))
  roaming.netlink((netlink) => setLink(netlink, getLink(netlink, 'at-b').index, { up: true }))
  roaming.configure('at-b', [])
  const silent = await untilPing(roaming, '10.9.0.50')
  const back = await untilPing(still, '10.9.0.60')
  t.ok(silent + back < MOVED_WITHIN_MS, `${(silent + back).toFixed(0)} ms with its first frame`)
})

t.test('a loop does not melt the machine, and all is well when it is gone', async (t) => {
  const network = new Network(3)
  t.teardown(() => network[Symbol.dispose]())
  const tunnels = await network.mesh()
  const [a, b, c] = network.hosts
  connect(
    { host: a, device: 'second', addresses: [] },
    { host: b, device: 'second', addresses: [] },
    OVERLAY_MTU_BYTES,
  )
  for (const [index, host] of [a, b].entries()) {
    bridge(host, 'tap0', 'second')
    await ok(host, 'ip', 'addr', 'flush', 'dev', 'tap0')
    host.configure('br0', [`${network.overlay(index)}/24`])
  }
  const tap = network.socket(2, 'tap0')
  const startedMs = performance.now()
  let rounds = 0
  const storm = async () => {
    rounds++
    for (let number = 0; number < BROADCASTS; number++) {
      const payload = Buffer.from(`round ${rounds}, number ${number}`.padEnd(60))
      tap.send(frame(BROADCAST, ETHERTYPE.experimental, payload))
    }
    await sleep(200)
    return (await tunnels[0].status()).drops.storm + (await tunnels[1].status()).drops.storm
  }
  await until('the limit is come to', async () => (await storm()) > 100, 20_000)
  const askedMs = performance.now()
  const { outbound, inbound } = await tunnels[0].status()
  t.ok(performance.now() - askedMs < 2_000, 'a tunnel in the loop answers')
  const seconds = (performance.now() - startedMs) / 1000
  const most = 2 * (STORM_BURST_FRAMES + STORM_FRAMES_PER_S * seconds)
  t.ok(inbound.frames <= most, `${inbound.frames} came, of no more than ${Math.round(most)} from two peers`)
  // Without a loop it is two for each broadcast. What comes is limited, and fewer on a busy machine.
  t.ok(outbound.frames > 5 * rounds * BROADCASTS, 'round and round')
  t.comment(`${rounds * BROADCASTS} broadcasts: ${outbound.frames} sent, ${inbound.frames} came`)
  setUp(a, 'second', false)
  // A MAC that went to and fro is held where it was for ten seconds, and again if frames of the loop come late.
  await untilPing(c, network.overlay(0), 40_000)
  await untilPing(a, network.overlay(1), 40_000)
  const before = (await tunnels[0].status()).inbound.frames
  await sleep(1_000)
  const late = (await tunnels[0].status()).inbound.frames - before
  t.ok(late < 100, `it is over: ${late} frames in a second`)
})
