import { C } from './counters.js'

/**
 * Where a frame goes, or an address is: a peer, by its index (0 and up), or one of these.
 */

/** This host's side: the device, and whatever is bridged to it. */
export const DEVICE = -1

/** Everywhere but where it came from; of an address: nobody knows where it is. */
export const FLOOD = -2

/** Nowhere, for it is where it came from, or at a peer that this one's frames are not passed on to. */
export const FILTERED = -3

/** Nowhere: more broadcasts than the limit allows. */
export const STORM = -4

/** Nowhere: no peer has a prefix with this destination. */
export const NO_ROUTE = -5

/** Nowhere: its source is no address of the peer that sent it. */
export const NOT_ALLOWED = -6

/** Nowhere: what should be a packet or a frame is none. */
export const MALFORMED = -7

/** What counts the frames that go nowhere, by these. */
export function dropCounterOf(target: number): number {
  switch (target) {
    case FILTERED:
      return C.filtered
    case STORM:
      return C.dropStorm
    case NO_ROUTE:
      return C.dropNoRoute
    case NOT_ALLOWED:
      return C.dropNotAllowed
    default:
      return C.dropNotIp
  }
}
