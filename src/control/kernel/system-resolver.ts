import { Resolver as DnsResolver, lookup as lookUp } from 'node:dns/promises'
import { isIPv4 } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { NameQuery, notFound } from '../../linux/names.js'
import type { Resolver } from '../platform.js'

/** The first pause before we look for an answer again. It doubles up to the second value. */
const FIRST_LOOK_MS = 1
const LAST_LOOK_MS = 50

/** How long a name server is waited for, at first. It is asked twice, and then waited for twice as long. */
const SERVER_MS = 2_500
const TRIES = 2

/** Codes of c-ares that mean that no name server has answered. */
const UNANSWERED = ['ETIMEOUT', 'ECONNREFUSED', 'ESERVFAIL', 'ECANCELLED']

/** The threads of Node.js that look names up (libuv, src/threadpool.c): half of its pool of four. */
const NODE_THREADS = 2

/** The system's resolver, so that /etc/hosts and nsswitch.conf count. */
export const systemResolver: Resolver = {
  atOnce: NameQuery.isThere ? undefined : NODE_THREADS,

  async lookup(name, ipv4Only) {
    if (!NameQuery.isThere) return await byNode(name, ipv4Only)
    const query = new NameQuery(name, ipv4Only)
    for (let lookMs = FIRST_LOOK_MS; ; lookMs = Math.min(2 * lookMs, LAST_LOOK_MS)) {
      await sleep(lookMs)
      const addresses = query.answer(name)
      if (addresses !== undefined) return addresses
    }
  },

  /** getaddrinfo(3) knows no SRV records, so c-ares asks, with sockets of its own, and no thread waits. */
  async services(name) {
    // A new one, because it reads resolv.conf(5) when it is made.
    const resolver = new DnsResolver({ timeout: SERVER_MS, tries: TRIES })
    try {
      const records = await resolver.resolveSrv(name.replace(/\.$/, ''))
      return records.map(({ name: host, ...rest }) => ({ host, ...rest }))
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException
      throw UNANSWERED.includes(code) ? Object.assign(error as Error, { code: 'EAI_AGAIN' }) : error
    }
  },
}

/** As {@link systemResolver} does, without threads of libc's own. */
async function byNode(name: string, ipv4Only: boolean): Promise<readonly string[]> {
  const found = await lookUp(name, { all: true, family: ipv4Only ? 4 : 0 }).catch((error) => {
    const { code = 'ENOTFOUND' } = error as NodeJS.ErrnoException
    throw notFound(name, code)
  })
  // It does not ask for the family of an address.
  const addresses = found.map(({ address }) => address).filter((it) => !ipv4Only || isIPv4(it))
  if (addresses.length > 0) return addresses
  throw notFound(name, 'ENOTFOUND')
}
