import { parseRemote, type Remote } from './addresses.js'

/** A service of DNS (RFC 2782), such as `_udptun-fast._udp.example.org`. No host has such a name. */
const SERVICE = /^_[^.]+\._udp\./i

export function isServiceName(host: string): boolean {
  return SERVICE.test(host)
}

/** What {@link parseRemote} takes, or the name of a service, whose records have the ports. @throws RangeError */
export function parsePeerEndpoint(text: string): Remote {
  const remote = parseRemote(text)
  if (isServiceName(remote.host) && text.includes(':'))
    throw new RangeError(
      `"${text}" is the name of a service with a port, and its SRV records have the ports; write ${remote.host}`,
    )
  return remote
}
