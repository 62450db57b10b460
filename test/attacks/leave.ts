import { readlinkSync } from 'node:fs'

/**
 * Whether this process is in a network namespace of its own, not in that of the machine (or container); where it
 * may not see that one, in another than whoever started it.
 */
export function inOwnNamespace(): boolean {
  const own = readlinkSync('/proc/self/ns/net')
  try {
    return readlinkSync('/proc/1/ns/net') !== own
  } catch {
    return readlinkSync(`/proc/${process.ppid}/ns/net`) !== own
  }
}

export const OUTSIDE_FLAG = '--on-my-own-network'

/** Ends the program where it would send into a network that may be others' and was not told that it may. */
export function mustHaveLeave(given: boolean): void {
  if (given || inOwnNamespace()) return
  process.stderr.write(
    `this is no network namespace of its own, so nothing is sent: run it in one (ip netns exec …), or give ${OUTSIDE_FLAG} if all of the network is yours and you may attack it\n`,
  )
  process.exit(2)
}
