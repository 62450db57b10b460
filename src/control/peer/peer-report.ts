import { formatEndpoint, formatPrefix } from '../../config/addresses.js'
import type { PeerSettings } from '../../config/schema.js'
import type { PeerSource, PeerStatus } from '../status.js'
import type { Contact } from './contact.js'
import type { PeerContext } from './context.js'
import type { PeerEndpoint } from './peer-endpoint.js'
import type { RosterPeer } from './roster.js'

type Known = 'name' | 'row' | 'endpoint' | 'underlay' | 'mtuBytes' | 'carriedMtuBytes' | 'pathMtu'

/** A peer that is shown. */
export interface ReportedPeer extends Pick<RosterPeer, Known> {
  readonly host: string
  readonly settings: PeerSettings
  readonly place: PeerEndpoint
  /** Why an introducer relays what is for it. */
  readonly relayedWhy: string
}

/** What `status` shows of a peer. @param trouble why it has not been found */
export function reportPeer(
  peer: ReportedPeer,
  contact: Contact,
  trouble: string | undefined,
  { datapath, privateSide, tables }: Pick<PeerContext, 'datapath' | 'privateSide' | 'tables'>,
): PeerStatus {
  const { row, settings, endpoint, underlay } = peer
  const { relay, from } = peer.place
  const reason = datapath.reasonOf(row) ?? null
  return {
    name: peer.name,
    host: peer.host,
    // That of a relay is not its own.
    endpoint: endpoint === undefined || relay !== undefined ? null : formatEndpoint(endpoint),
    state: contact.state,
    heard_s: contact.heardS ?? null,
    keepalives: contact.answersHello ?? null,
    rtt_ms: contact.roundTripMs ?? null,
    trouble: trouble ?? null,
    from: from ?? null,
    underlay:
      underlay === undefined ? null : { interface: underlay.interface ?? null, mtu_bytes: underlay.mtuBytes },
    mtu_bytes: peer.mtuBytes ?? null,
    carried_mtu_bytes: peer.carriedMtuBytes ?? null,
    path_mtu: peer.pathMtu?.status() ?? null,
    takes_runs: tables.limits.takesRuns(row),
    datapath: { by: reason === null ? 'kernel' : 'workers', reason },
    privacy: privateSide?.status(row) ?? null,
    overlay: [...settings.addresses, ...settings.prefixes.map(formatPrefix)],
    introduced_by: settings.introduced_by ?? null,
    relayed: relay === undefined ? null : { by: relay.name, why: peer.relayedWhy },
    source: sourceOf(settings),
    ...contact.traffic,
  }
}

export function sourceOf({ introduced_by, invited }: PeerSettings): PeerSource {
  if (introduced_by !== undefined) return 'introduction'
  if (invited === undefined) return 'settings'
  return invited === 'line' || invited === 'spent' ? 'invitation' : 'member'
}
