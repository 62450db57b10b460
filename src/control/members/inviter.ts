import ipaddr from 'ipaddr.js'
import {
  addressBits,
  contains,
  formatEndpoint,
  formatPrefix,
  type Network,
  type Remote,
} from '../../config/addresses.js'
import { MAX_PEERS } from '../../config/schema.js'
import { networksOf } from '../../config/told-networks.js'
import { UserError } from '../../errors.js'
import { formatInvitation } from '../../invitation/invitation.js'
import { formatKey } from '../../key-text.js'
import { AF_INET6 } from '../../linux/constants.js'
import { clampPrivateKey, derivePublicKey } from '../../noise/keys.js'
import { PUBLIC_KEY_BYTES } from '../../wire/wireguard.js'
import type { HostAddress } from '../network.js'
import { isOpen, isSameName, withLine, withMember } from './book.js'
import type { MembersContext } from './context.js'
import { freeAddress } from './free-address.js'
import type { MembersFile } from './members-file.js'
import { overlayOf } from './overlay.js'
import { quickFile } from './quick-file.js'
import type { InviteRequest } from './request.js'

/** So many places of this host are in a line. */
const MAX_ENDPOINTS = 4

/** The answer to `udptun-fast invite`. */
export interface InviteReport {
  readonly network: string
  readonly name: string
  /** Until when it is good, in ISO 8601. */
  readonly until: string
  readonly addresses: readonly string[]
  readonly groups: readonly string[]
  readonly endpoints: readonly string[]
  /** The line; or for a client of WireGuard, the text of its file. */
  readonly text: string
  readonly wireguard: boolean
  /** Whether an earlier invitation of this name is good no more. */
  readonly replaced: boolean
  /** Whether the member is introduced to others only when its record is signed. */
  readonly waits_for_signature: boolean
  /** Whether another host has come by this name in the last days: others know its key. */
  readonly was_member: boolean
  /** Whether only hosts of this site reach the endpoints. */
  readonly is_private: boolean
}

export interface InviterContext
  extends Pick<MembersContext, 'settings' | 'names' | 'platform' | 'roster' | 'privateSide' | 'wanted'> {
  readonly file: MembersFile
}

/** Makes invitations. */
export class Inviter {
  readonly #context: InviterContext

  constructor(context: InviterContext) {
    this.#context = context
  }

  /** @throws UserError; nothing has changed then */
  invite(request: InviteRequest): InviteReport {
    const { settings, names, platform, privateSide, file } = this.#context
    const { name, wireguard } = request
    const own = privateSide.ownKey.identity?.publicKey
    if (own === undefined) throw new UserError('this host has no private key yet; set one before you invite')
    if (wireguard && settings.mode !== 'tun')
      throw new UserError(
        'clients of WireGuard carry IP packets, and this tunnel carries Ethernet; use mode tun',
      )
    this.#requireRoom(name)
    const replaced = file.book.lines.some(
      (it) => isSameName(it.name, name) && isOpen(it, platform.clock.unixMs()),
    )
    const wasMember = file.book.lines.some((it) => it.name === name && it.usedBy !== undefined)
    const addresses = this.#addressesFor(request)
    const endpoints = this.#endpointsFor(request)
    const nowMs = platform.clock.unixMs()
    const untilMs = Math.ceil((nowMs + request.hours * 3_600_000) / 1000) * 1000
    const privateKey = clampPrivateKey(platform.random(PUBLIC_KEY_BYTES))
    const presharedKey = platform.random(PUBLIC_KEY_BYTES)
    const keys = {
      name,
      publicKey: formatKey(derivePublicKey(privateKey)),
      presharedKey: formatKey(presharedKey),
      addresses: addresses.map(({ address }) => address),
      groups: request.groups,
      untilMs,
    }
    const text = wireguard
      ? quickFile({
          privateKey,
          presharedKey,
          addresses,
          publicKey: own,
          endpoint: endpoints[0],
          networks: this.#networks,
        })
      : formatInvitation({
          mode: settings.mode,
          network: names.network,
          name,
          introducer: names.host,
          publicKey: own,
          privateKey,
          presharedKey,
          untilS: untilMs / 1000,
          endpoints,
          addresses,
        })
    privateKey.fill(0)
    file.change(
      wireguard
        ? withMember(file.book, { ...keys, joinedMs: nowMs, seenMs: undefined, isWireGuard: true })
        : withLine(file.book, { ...keys, usedBy: undefined, isWithdrawn: false }),
    )
    return {
      network: names.network,
      name,
      until: new Date(untilMs).toISOString(),
      addresses: addresses.map(formatPrefix),
      groups: request.groups,
      endpoints: endpoints.map(({ host, port }) => formatEndpoint({ address: host, port })),
      text,
      wireguard,
      replaced,
      was_member: wasMember && !wireguard,
      waits_for_signature: !wireguard && this.#context.wanted().network_key !== undefined,
      is_private: endpoints.every(({ host }) => isPrivate(host)),
    }
  }

  /** @throws UserError */
  #requireRoom(name: string): void {
    const { names, roster, file, platform, wanted } = this.#context
    const nowMs = platform.clock.unixMs()
    const { members, lines } = file.book
    const same = (other: string) => isSameName(other, name)
    if (members.some((it) => same(it.name)))
      throw new UserError(
        `${name} is a member already; choose another name, or take it out first: udptun-fast remove ${name}`,
      )
    if (same(names.host) || roster.all.some((it) => same(it.name)))
      throw new UserError(`${name} is the name of another host of this network; choose another one`)
    const count = wanted().peers.length + members.length + lines.filter((it) => isOpen(it, nowMs)).length
    if (count >= MAX_PEERS)
      throw new UserError(`there is no room for ${name}: ${MAX_PEERS} peers are the most`)
  }

  /** @throws UserError */
  #addressesFor({ name, addresses }: InviteRequest): Network[] {
    const { local } = this.#context.settings
    const taken = this.#taken(name)
    const given = addresses.map((address) => {
      const around = local.find((it) => contains(it, address))
      if (around === undefined)
        throw new UserError(
          `${address} is in no overlay network of this host (${overlayOf(local).map(formatPrefix).join(', ')}); choose one that is`,
        )
      const rival = taken.find((it) => it.prefixLength > around.prefixLength && contains(it, address))
      if (rival !== undefined)
        throw new UserError(`${address} is taken, by ${rival.by}; choose another one, or leave --address out`)
      return { address, prefixLength: around.prefixLength }
    })
    if (given.length > 0) return given
    return local.map((network) => {
      const address = freeAddress(network, taken)
      if (address === undefined)
        throw new UserError(`${formatPrefix(network)} has no free address any more; give one with --address`)
      return { address, prefixLength: network.prefixLength }
    })
  }

  /** What is not free, and whose it is. */
  #taken(name: string): (Network & { readonly by: string })[] {
    const { settings, roster, file, platform, wanted } = this.#context
    const nowMs = platform.clock.unixMs()
    const host = (address: string, by: string) => ({ address, prefixLength: bitsOf(address), by })
    const peers = [...wanted().peers, ...roster.all.map((it) => it.settings)]
    const lines = file.book.lines.filter((it) => isOpen(it, nowMs) && !isSameName(it.name, name))
    return [
      ...settings.local.map(({ address }) => host(address, 'this host')),
      ...peers.flatMap((it) => networksOf(it).map((network) => ({ ...network, by: it.name }))),
      ...[...file.book.members, ...lines].flatMap((it) =>
        it.addresses.map((address) => host(address, it.name)),
      ),
    ]
  }

  /** @throws UserError if none is known */
  #endpointsFor({ endpoints }: InviteRequest): readonly Remote[] {
    const { settings, platform } = this.#context
    const { address: bound, port } = platform.socket.local
    if (endpoints.length > 0) return endpoints.slice(0, MAX_ENDPOINTS)
    const isAny = ipaddr.parse(bound.split('%')[0]).range() === 'unspecified'
    // What is good beyond its link, and does not go soon.
    const lasting = ({ global, ready, deprecated }: HostAddress) => global && ready && !deprecated
    const all = isAny
      ? platform.network
          .ownAddresses()
          .filter(lasting)
          .map(({ address }) => address)
      : [bound.split('%')[0]]
    const some = all.filter(
      (address) =>
        (platform.socket.family === AF_INET6 || !address.includes(':')) &&
        !settings.local.some((it) => it.address === address),
    )
    if (some.length === 0)
      throw new UserError('no address of this host is known; say where it is found with --endpoint')
    // What anybody reaches comes first.
    const sorted = [...some].sort((a, b) => Number(isPrivate(a)) - Number(isPrivate(b)))
    return sorted.slice(0, MAX_ENDPOINTS).map((host) => ({ host, port }))
  }

  /** What a client of WireGuard sends into the tunnel. */
  get #networks(): Network[] {
    const { settings, roster } = this.#context
    const prefixes = roster.all.flatMap((it) => it.settings.prefixes)
    const all = [...overlayOf(settings.local), ...prefixes.filter(({ prefixLength }) => prefixLength > 0)]
    const texts = all.map(formatPrefix)
    return all.filter((_, at) => texts.indexOf(texts[at]) === at)
  }
}

const bitsOf = (address: string) => addressBits(ipaddr.parse(address).kind())

/** Whether only some hosts reach the address. A name may be for anybody. */
function isPrivate(host: string): boolean {
  return ipaddr.isValid(host) && ipaddr.parse(host).range() !== 'unicast'
}
