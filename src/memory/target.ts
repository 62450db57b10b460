import { C } from './counters.js'

/** Where a frame goes, or where an address is: a peer, by its row (0 and up), or one of the values below. */

/** This host's side: the device, and whatever is bridged to it. */
export const DEVICE = -1

/** Of a frame: everywhere except where it came from. Of an address: unknown. */
export const FLOOD = -2

/**
 * Nowhere: the target is where the frame came from, another peer that gets no frames of this peer from here, or in mode
 * tun all hosts of the device's own link.
 */
export const FILTERED = -3

/** Nowhere: more broadcasts than the limit allows. */
export const STORM = -4

/** Nowhere: no peer has a prefix with this destination. */
export const NO_ROUTE = -5

/** Nowhere: the source is not an address of the peer that sent the frame. */
export const NOT_ALLOWED = -6

/** Nowhere: it is not a valid packet or frame. */
export const MALFORMED = -7

/** Nowhere: the access rules of this host do not allow it. */
export const ACCESS_DENIED = -8

/** The counter for frames that go nowhere, for each of these values. */
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
    case ACCESS_DENIED:
      return C.dropAccessDenied
    default:
      return C.dropNotIp
  }
}
