import type { Host } from '../../../src/lab/host.js'
import { getLink } from '../../../src/linux/interface.js'
import { type Forgery, forgeIcmp } from '../forged-icmp.js'
import type { Path } from './path.js'

const macOf = (host: Host, device: string) =>
  Buffer.from(host.netlink((netlink) => getLink(netlink, device).mac ?? '').replaceAll(':', ''), 'hex')

/** A forged error as a frame to host a from the next router, which sends it from its device `left`. */
export function forgedFrame(path: Path, forgery: Forgery): Buffer {
  const type = forgery.from.includes(':') ? [0x86, 0xdd] : [8, 0]
  const addresses = [macOf(path.a, 'eth0'), macOf(path.routers[0], 'left')]
  return Buffer.concat([...addresses, Buffer.from(type), forgeIcmp(forgery)])
}

/** "Fragmentation needed" from the router next to host a, about a datagram from there to `to`. */
export function fragmentationNeeded(path: Path, to: string, mtuBytes: number, port = 5149): Buffer {
  const source = { address: path.underlay.a, port: 5149 }
  const about = { source, destination: { address: to, port } }
  return forgedFrame(path, { header: [3, 4, mtuBytes], from: '198.18.0.2', about })
}
