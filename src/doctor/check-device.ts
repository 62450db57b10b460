import { firstFew } from '../control/first-few.js'
import type { StatusReport } from '../control/status.js'
import { type Finding, wrong } from './finding.js'

/** Whether what is for the peers gets to the tunnel at all. */
export function checkDevice({ device, device_up, missing_routes, netns }: StatusReport): Finding[] {
  // A device that is down has no routes, so it is the reason for those that are missing.
  if (!device_up)
    return [
      wrong(
        'device.down',
        `${device} is down, so nothing passes through the tunnel`,
        `set it up with: ${ipIn(netns)} link set ${device} up`,
      ),
    ]
  if (missing_routes.length === 0) return []
  const sample = missing_routes[0].replace(/\/.*/, '')
  return [
    wrong(
      'route.missing',
      `no route leads to ${device} for ${firstFew(missing_routes)}, so nothing is tunnelled there; it may go out unencrypted`,
      `look at what is in the way: ${ipIn(netns)} route get ${sample}; the log of the tunnel says more`,
    ),
  ]
}

/** How to start ip(8) where the device is. */
function ipIn(netns: string | null): string {
  if (netns === null) return 'ip'
  return netns.includes('/') ? `nsenter --net=${netns} ip` : `ip -n ${netns}`
}
