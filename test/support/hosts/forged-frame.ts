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
