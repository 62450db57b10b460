import { checkDrops } from './check-drops.js'
import { checkFirewall } from './check-firewall.js'
import { checkHost } from './check-host.js'
import { checkTunnel } from './check-tunnel.js'
import type { Facts } from './facts.js'
import { type Finding, worstFirst } from './finding.js'

/** All findings, the worst first. */
export function findingsOf(facts: Facts): Finding[] {
  return worstFirst([
    ...checkTunnel(facts),
    ...checkHost(facts),
    ...checkFirewall(facts),
    ...checkDrops(facts),
  ])
}
