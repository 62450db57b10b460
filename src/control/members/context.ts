import type { Logger } from 'pino'
import type { Settings } from '../../config/schema.js'
import type { ControlChannel } from '../control-channel.js'
import type { Faults } from '../faults.js'
import type { Peer } from '../peer/peer.js'
import type { PeerChanges } from '../peer/peers.js'
import type { Roster } from '../peer/roster.js'
import type { Platform } from '../platform.js'
import type { PrivateSide } from '../private/private-side.js'
import type { Tables } from '../tables.js'

/** How this host and its network are called in invitations. */
export interface NetworkNames {
  readonly network: string
  readonly host: string
}

export interface MembersContext {
  readonly settings: Settings
  readonly names: NetworkNames
  readonly platform: Pick<Platform, 'clock' | 'random' | 'socket' | 'network' | 'state'>
  readonly tables: Tables
  readonly roster: Roster<Peer>
  readonly channel: ControlChannel
  readonly privateSide: PrivateSide
  readonly log: Logger
  readonly faults: Faults
  /** What a person has written. */
  readonly wanted: () => Settings
  /** Changes the peers to those that `Members.peersBeside` the settings. */
  readonly follow: () => Promise<PeerChanges>
  /** The peers have changed. */
  readonly onPeers: () => void
}
