import { askHealth, askStatus } from '../command/client.js'
import { firstFew } from '../control/first-few.js'
import type { Health } from '../control/health.js'
import { isHost, type PeerStatus, type StatusReport } from '../control/status.js'
import { UserError } from '../errors.js'
import { statusText } from '../service/status-text.js'
import { complaints } from './peers.js'

/**
 * Says how a tunnel is, in one line.
 * @throws UserError with the reasons if it does not work, or if a peer is down or not found
 */
export async function check(device: string): Promise<string> {
  const health = await askHealth(device)
  const report = await askStatus(device)
  const wrong = whatIsWrong(report, health)
  if (wrong.length > 0) throw new UserError(`${device}: ${wrong.join('; ')}`)
  return statusText({ ...report, listenTrouble: undefined, reloadTrouble: undefined })
}

/** Sentences without a full stop. A peer that was not heard yet, or is silent, may be well: not each one answers. */
export function whatIsWrong(report: StatusReport, { reasons }: Pick<Health, 'reasons'>): string[] {
  const { device, device_up, listen, listen_trouble: trouble, missing_routes: missing, peers } = report
  // A member that was introduced need not be on, or reachable at all, so one that was never met is not down.
  const wasNeverMet = ({ introduced_by, heard_s }: PeerStatus) => introduced_by !== null && heard_s === null
  const peerIsWrong = (peer: PeerStatus) =>
    (peer.state === 'down' && !wasNeverMet(peer)) || (peer.endpoint === null && peer.trouble !== null)
  return [
    ...reasons,
    ...(trouble === null ? [] : [`it cannot listen on ${listen}: ${trouble}`]),
    // A device that is down has no routes, and is itself a reason.
    ...(missing.length === 0 || !device_up ? [] : [`no route leads to ${device} for ${firstFew(missing)}`]),
    ...peers
      .filter((peer) => isHost(peer) && peerIsWrong(peer))
      .map((peer) => {
        const what = peer.state === 'down' ? 'is down' : 'is not there'
        return [`peer ${peer.name} ${what}`, complaints(peer, report).join(', ')].join(': ')
      }),
  ]
}
