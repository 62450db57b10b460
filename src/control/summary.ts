import type { PeerState } from './peer/liveness.js'
import type { PeerSource } from './status.js'

/** How a tunnel is, in short, for whoever watches it all the time. */
export interface TunnelSummary {
  readonly device: string
  readonly peers: readonly {
    readonly name: string
    readonly state: PeerState
    readonly source: PeerSource
  }[]
  /** Why nothing is sent or received; undefined if nothing is wrong. */
  readonly listenTrouble: string | undefined
  /** Why the last reload has changed nothing; undefined if it has, or if there was none. */
  readonly reloadTrouble: string | undefined
}
