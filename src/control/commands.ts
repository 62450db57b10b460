import type { Commands } from '../command/server.js'
import type { FdbReport } from './addresses.js'
import type { Community } from './community.js'
import type { Health } from './health.js'
import type { Parts } from './parts.js'
import { pingRequestOf } from './pings.js'
import type { ReloadReport } from './reload.js'
import type { PeerStatus, StatusReport } from './status.js'

/** How long `mtu --refresh` waits for the new path MTUs. */
const REFRESH_WITHIN_MS = 10_000

/** The answer to `udptun-fast mtu --refresh`. */
export interface RefreshReport {
  readonly device: string
  readonly mtu_bytes: number
  readonly peers: readonly Pick<PeerStatus, 'name' | 'path_mtu'>[]
}

export interface CommandsContext extends Pick<Parts, 'device' | 'peers' | 'pings'> {
  readonly tunnel: {
    status(): StatusReport
    health(): Promise<Health>
    fdb(): FdbReport
    reload(): Promise<ReloadReport>
  }
  readonly community: Community
  readonly deviceName: string
}

/** What a tunnel does for commands: each takes a request apart, and hands it to the part that answers it. */
export function tunnelCommands(context: CommandsContext): Commands {
  const { community, pings, tunnel } = context
  return {
    status: () => tunnel.status(),
    health: () => tunnel.health(),
    fdb: () => tunnel.fdb(),
    reload: () => tunnel.reload(),
    mtu_refresh: () => refreshMtu(context),
    ping: (request) => pings.ask(pingRequestOf(request)),
    members: () => community.report(),
    invite: (request) => community.invite(request),
    record: ({ line }) => community.addRecord(String(line)),
    remove: ({ name }) => community.remove(String(name)),
  }
}

/** Searches the path MTUs to all peers again, now. */
async function refreshMtu({ device, deviceName, peers }: CommandsContext): Promise<RefreshReport> {
  await peers.refreshPaths(REFRESH_WITHIN_MS)
  const found = peers.status().map(({ name, path_mtu }) => ({ name, path_mtu }))
  return { device: deviceName, mtu_bytes: device.mtuBytes, peers: found }
}
