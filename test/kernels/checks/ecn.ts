/** A queue that marks packets instead of dropping them (ECN, RFC 3168): its marks reach TCP in the tunnel (RFC 6040). */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { ECN, ECN_MASK } from '../../../src/wire/ecn.js'
import { ETHERNET, ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4 } from '../../../src/wire/ethernet.js'
import { IPV4_HEADER_BYTES } from '../../../src/wire/ip.js'
import { ok, until, untilPing } from '../../support/hosts/lab.js'
import { PacketSocket } from '../../support/hosts/packet-socket.js'
import { startEnds } from '../../support/hosts/path.js'
import { Absent, type Check, isLinux, run } from '../check.js'
import { BadNetwork, kernelCounters, tcpRate } from '../netem.js'
import { endWell } from '../tunnels.js'

const WITHIN_MS = 300_000

const SECONDS = 12

/** So low that the emulated processor does not bound it. At this rate, a full datagram takes 15 ms. */
const RATE = 'tbf rate 800kbit burst 3kb limit 300kb'
const CODEL = 'fq_codel ecn target 20ms interval 200ms limit 400'

/** Before the payload of IPv4 and TCP with timestamps. */
const HEADERS_BYTES = IPV4_HEADER_BYTES + 32

/** What the queue towards b has done since its start. */
async function queue({ path }: BadNetwork): Promise<{ marks: number; drops: number }> {
  const said = await ok(path.routers[0], 'tc', '-s', '-j', 'qdisc', 'show', 'dev', 'right')
  const qdiscs = JSON.parse(said) as { kind: string; ecn_mark: number; drops: number }[]
  const codel = qdiscs.find(({ kind }) => kind === 'fq_codel')
  assert.ok(codel !== undefined, said)
  return { marks: codel.ecn_mark, drops: codel.drops }
}

/**
 * How many marked packets have come out of a device to the host. A super-frame counts as what it was made of.
 * @param mtuBytes of the device
 */
function marked(socket: PacketSocket, mtuBytes: number): number {
  let count = 0
  for (let it = socket.receive(); it !== undefined; it = socket.receive()) {
    const { bytes, outgoing } = it
    if (outgoing || bytes.readUInt16BE(ETHERNET.type) !== ETHERTYPE_IPV4) continue
    if ((bytes[ETHERNET_HEADER_BYTES + 1] & ECN_MASK) !== ECN.ce) continue
    const payload = bytes.readUInt16BE(ETHERNET_HEADER_BYTES + 2) - HEADERS_BYTES
    count += Math.max(1, Math.ceil(payload / (mtuBytes - HEADERS_BYTES)))
  }
  return count
}

/** TCP from a to b through the queue. @param knowsEcn whether both ends of TCP use ECN */
function carried(datapath: 'workers' | 'kernel', knowsEcn: boolean): Check {
  return async () => {
    if (datapath === 'kernel' && !isLinux(6, 6)) return new Absent('no tcx before Linux 6.6')
    using network = await BadNetwork.make()
    const { path } = network
    for (const host of [path.a, path.b])
      await ok(host, 'sysctl', '-qw', `net.ipv4.tcp_ecn=${knowsEcn ? 1 : 0}`)
    const qdisc = ['qdisc', 'replace', 'dev', 'right']
    await ok(path.routers[0], 'tc', ...qdisc, 'root', 'handle', '1:', ...RATE.split(' '))
    await ok(path.routers[0], 'tc', ...qdisc, 'parent', '1:', 'handle', '2:', ...CODEL.split(' '))
    const ends = await startEnds(path, { flags: ['--datapath', datapath] })
    await untilPing(path.a, '10.9.0.2', WITHIN_MS)
    const isCarried = async () => (await ends.b.status()).peers[0].datapath.by === datapath
    await until(`the frames are carried by: ${datapath}`, isCarried, WITHIN_MS)
    const { mtu_bytes } = await ends.b.status()
    using socket = new PacketSocket(path.b, 'tap0')
    const before = { queue: await queue(network), tcp: kernelCounters(path.a) }
    const rate = await tcpRate(path, '10.9.0.2', SECONDS)
    await sleep(1_500)
    const after = { queue: await queue(network), tcp: kernelCounters(path.a) }
    const more = (name: string) => (after.tcp.get(name) ?? 0) - (before.tcp.get(name) ?? 0)
    const marks = after.queue.marks - before.queue.marks
    const drops = after.queue.drops - before.queue.drops
    const inside = marked(socket, mtu_bytes)
    const [delivered, again] = [more('TcpExtTCPDeliveredCE'), more('TcpRetransSegs')]
    const text = `the queue marked ${marks} datagrams and dropped ${drops}; ${inside} marked packets left the tunnel; TCP heard of ${delivered}, and sent ${again} segments again; ${rate.toFixed(2)} Mbit/s`
    const { congested } = (await ends.b.status()).drops
    assert.equal(congested, 0, text)
    assert.equal(inside, marks, text)
    if (knowsEcn) assert.ok(marks > 0 && delivered > 0, text)
    else assert.ok(marks === 0 && drops > 0 && again > 0, text)
    for (const end of [ends.a, ends.b]) await endWell(end)
    return text
  }
}

await run({
  'marks, by the workers': carried('workers', true),
  'TCP without ECN, by the workers': carried('workers', false),
  "marks, in the kernel's own datapath": carried('kernel', true),
})
