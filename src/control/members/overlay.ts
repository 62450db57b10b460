import ipaddr from 'ipaddr.js'
import { addressBits, contains, type Network, type Prefix, parsePrefix } from '../../config/addresses.js'

/** The networks of these addresses. */
export function overlayOf(local: readonly Network[]): Prefix[] {
  return local.map(({ address, prefixLength }) => parsePrefix(`${address}/${prefixLength}`))
}

/** An address with the prefix length of the network that it is in; alone if it is in none. */
export function addressIn(address: string, local: readonly Network[]): Network {
  const around = local.find((it) => contains(it, address))
  return { address, prefixLength: around?.prefixLength ?? addressBits(ipaddr.parse(address).kind()) }
}
