import type { Load } from './load.js'
import { pingIdle, pingLoaded } from './ping.js'
import { rfc2544Large, rfc2544Small } from './rfc2544.js'
import { start } from './start.js'
import { tcpBothWays, tcpEightStreams, tcpOneStream } from './tcp.js'
import { udpLarge, udpSmall } from './udp.js'

/** The loads that are measured by default, in this order. */
export const DEFAULT_LOADS: readonly Load[] = [
  tcpOneStream,
  tcpEightStreams,
  tcpBothWays,
  udpSmall,
  udpLarge,
  pingIdle,
  pingLoaded,
  start,
]

/** The loads that `--loads` accepts. An RFC 2544 search takes as long as all the others together. */
export const LOADS: readonly Load[] = [...DEFAULT_LOADS, rfc2544Small, rfc2544Large]

export const QUICK_LOADS: readonly Load[] = [tcpOneStream]
