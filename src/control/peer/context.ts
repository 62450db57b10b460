import type { Logger } from 'pino'
import type { Settings } from '../../config/schema.js'
import type { Encap } from '../../encap/encap.js'
import type { Access } from '../access.js'
import type { Addresses } from '../addresses.js'
import type { ControlChannel } from '../control-channel.js'
import type { Datapath } from '../datapath/datapath.js'
import type { Faults } from '../faults.js'
import type { Platform } from '../platform.js'
import type { PrivateSide } from '../private/private-side.js'
import type { Tables } from '../tables.js'
import type { TunnelDevice } from '../tunnel-device.js'
import type { Lookups } from './lookups.js'
import type { Moves } from './moves.js'
import type { Roster } from './roster.js'

/** What a peer needs from the tunnel. */
export interface PeerContext {
  readonly settings: Settings
  readonly encap: Encap
  readonly platform: Platform
  readonly tables: Tables
  /** All peers, this one too. */
  readonly roster: Roster
  readonly log: Logger
  readonly faults: Faults
  readonly channel: ControlChannel
  readonly datapath: Datapath
  readonly device: TunnelDevice
  readonly access: Access
  readonly addresses: Addresses
  readonly lookups: Lookups
  readonly moves: Moves
  /** Undefined if the tunnel is not private. */
  readonly privateSide: PrivateSide | undefined
}
