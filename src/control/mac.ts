import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import type { LocalAddress } from '../config/values.js'
import type { MacAddress } from '../wire/ethernet.js'

/**
 * A MAC address that stays the same when this host restarts, so that what its neighbours remember stays right.
 * It is made from the machine's identity and the overlay addresses. It is locally administered and unicast.
 */
export function stableMac(local: readonly LocalAddress[], machine = machineIdentity()): MacAddress {
  const hash = createHash('sha256').update(machine)
  for (const { address, prefixLength } of local) hash.update(`|${address}/${prefixLength}`)
  const [a, b, c, d, e, f] = hash.digest()
  return [(a & 0xfc) | 0x02, b, c, d, e, f]
}

/** machine-id(5) if the system has one, otherwise the host's name. */
function machineIdentity(): string {
  try {
    return readFileSync('/etc/machine-id', 'utf8').trim() || hostname()
  } catch {
    return hostname()
  }
}
