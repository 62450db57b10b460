import ipaddr from 'ipaddr.js'
import type { ToldNetwork } from '../wire/told.js'
import {
  addressBits,
  formatPrefix,
  type Network,
  type Prefix,
  parsePeerAddress,
  parsePrefix,
} from './addresses.js'

/** The networks of a peer, as its settings have them: whole addresses apart from the others. */
export interface PeerNetworks {
  readonly addresses: readonly string[]
  readonly prefixes: readonly Prefix[]
}

export function bytesOfAddress(address: string): Uint8Array {
  return Uint8Array.from(ipaddr.parse(address).toByteArray())
}

export function networkOf({ address, prefixLength }: ToldNetwork): Network {
  return { address: ipaddr.fromByteArray([...address]).toString(), prefixLength }
}

function hostNetwork(address: string): Network {
  return { address, prefixLength: addressBits(address.includes(':') ? 'ipv6' : 'ipv4') }
}

/** The networks that the settings give to a peer. Of one that has everything, none is told. */
export function networksOf({ addresses, prefixes }: PeerNetworks): Network[] {
  return [...addresses.map(hostNetwork), ...prefixes]
}

export function toldNetworks(peer: PeerNetworks): ToldNetwork[] {
  return networksOf(peer).map(({ address, prefixLength }) => ({
    address: bytesOfAddress(address),
    prefixLength,
  }))
}

/** @throws RangeError for an address that no host can have */
export function peerNetworks(told: readonly ToldNetwork[]): { addresses: string[]; prefixes: Prefix[] } {
  const all = told.map(networkOf)
  return {
    addresses: all.filter(isHost).map(({ address }) => parsePeerAddress(address)),
    prefixes: all.filter((it) => !isHost(it)).map((it) => parsePrefix(formatPrefix(it))),
  }
}

function isHost({ address, prefixLength }: Network): boolean {
  return prefixLength === addressBits(ipaddr.parse(address).kind())
}
