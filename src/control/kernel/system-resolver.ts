import { setTimeout as sleep } from 'node:timers/promises'
import { NameQuery } from '../../linux/names.js'
import type { Resolver } from '../platform.js'

/** The first pause before we look for an answer again. It doubles up to the second value. */
const FIRST_LOOK_MS = 1
const LAST_LOOK_MS = 50

/** The system's resolver, so that /etc/hosts and nsswitch.conf count. */
export const systemResolver: Resolver = {
  async lookup(name, ipv4Only) {
    const query = new NameQuery(name, ipv4Only)
    for (let lookMs = FIRST_LOOK_MS; ; lookMs = Math.min(2 * lookMs, LAST_LOOK_MS)) {
      await sleep(lookMs)
      const addresses = query.answer(name)
      if (addresses !== undefined) return addresses
    }
  },
}
