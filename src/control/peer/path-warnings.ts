import { outerBytes } from '../../encap/encap.js'
import { IPV6_MIN_MTU_BYTES } from '../../wire/ip.js'
import { INITIATION } from '../../wire/wireguard.js'
import type { PeerContext } from './context.js'
import type { PeerEndpoint } from './peer-endpoint.js'
import { familyOf } from './underlay.js'

/** Logs what is too much for the path to one peer, once for each thing. */
export class PathWarnings {
  readonly #context: Pick<PeerContext, 'settings' | 'log' | 'privateSide'>
  readonly #peer: { readonly name: string; readonly place: PeerEndpoint }
  /** What we have reported, since the path was last wide enough. */
  readonly #narrow = new Set<string>()
  #handshakeFits = true

  constructor(
    context: Pick<PeerContext, 'settings' | 'log' | 'privateSide'>,
    peer: { readonly name: string; readonly place: PeerEndpoint },
  ) {
    this.#context = context
    this.#peer = peer
  }

  /** If the interface is too narrow even for a handshake. Then nothing else fits either. */
  tellNoHandshake(): void {
    const { privateSide, log } = this.#context
    const { name, place } = this.#peer
    const { endpoint, underlay } = place
    if (privateSide === undefined || endpoint === undefined || underlay === undefined) return
    const { mtuBytes, interface: egress } = underlay
    const handshakeBytes = outerBytes(familyOf(endpoint.address)) + INITIATION.size
    const narrow = egress !== undefined && mtuBytes < handshakeBytes
    if (narrow && !this.#handshakeFits) return
    this.#handshakeFits = !narrow
    if (!narrow) return
    log.warn(
      { peer: name, interface: egress, mtu_bytes: mtuBytes, needed_bytes: handshakeBytes },
      `${egress}, the way to ${name}, takes packets of ${mtuBytes} bytes, and a handshake is one of ${handshakeBytes}: give it a greater MTU`,
    )
  }

  /**
   * @param pathBytes what the path carries, as an MTU of the underlay
   * @param carried the same as an MTU of the overlay
   * @param fragments whether what is longer is sent in fragments
   */
  tellNarrow(pathBytes: number, carried: number, fragments: boolean): void {
    const { settings, log } = this.#context
    const { name } = this.#peer
    const ipv6 = settings.local.some(({ family }) => family === 'ipv6') && carried < IPV6_MIN_MTU_BYTES
    const pinned = typeof settings.mtu === 'number' && settings.mtu > carried
    const what = ipv6 ? `ipv6 ${fragments}` : pinned ? `pinned ${carried}` : undefined
    if (what === undefined) this.#narrow.clear()
    if (what === undefined || this.#narrow.has(what)) return
    this.#narrow.add(what)
    const fields = { peer: name, path_mtu_bytes: pathBytes, carried_mtu_bytes: carried }
    if (ipv6) {
      const then = fragments
        ? 'what is longer is sent in fragments'
        : 'what is longer is dropped, because no ICMPv6 tells this host to fragment it'
      log.warn(
        fields,
        `the path to ${name} carries an MTU of ${carried}, and IPv6 needs ${IPV6_MIN_MTU_BYTES}: ${then}`,
      )
    } else if (pinned) {
      log.warn(
        fields,
        `the path to ${name} carries an MTU of ${carried}, less than the ${settings.mtu} of --mtu: longer frames are answered with ICMP, or go in fragments; give ${carried} or auto`,
      )
    }
  }
}
