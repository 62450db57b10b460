import type { Endpoint } from '../../linux/sockaddr.js'
import type { Resolver, ServiceRecord } from '../platform.js'

/** So many hosts of a service are looked up. */
const MAX_TARGETS = 8

/** The target of a service that is decidedly not there (RFC 2782). */
const NOWHERE = ''

/**
 * The records in the order in which their hosts are to be tried (RFC 2782): the least priority first; of one priority, by
 * chance, where one with a greater weight comes first more often.
 * @param random from 0 to 1, without 1
 */
export function inOrder(records: readonly ServiceRecord[], random: () => number): ServiceRecord[] {
  const priorities = [...new Set(records.map(({ priority }) => priority))].sort((a, b) => a - b)
  return priorities.flatMap((priority) =>
    drawn(
      records.filter((it) => it.priority === priority),
      random,
    ),
  )
}

function drawn(records: readonly ServiceRecord[], random: () => number): ServiceRecord[] {
  // Those of weight 0 come first here, so that they have a small chance, too.
  const left = [...records].sort((a, b) => Math.sign(a.weight) - Math.sign(b.weight))
  const order: ServiceRecord[] = []
  while (left.length > 0) {
    const sum = left.reduce((total, { weight }) => total + weight, 0)
    const mark = Math.floor(random() * (sum + 1))
    let at = 0
    for (let running = left[0].weight; running < mark; running += left[at].weight) at++
    order.push(...left.splice(at, 1))
  }
  return order
}

/**
 * Where the hosts of a service are, in the order in which they are to be tried. A host that is not found is passed over.
 * @throws the resolver's error, with its `code`, if none is found
 */
export async function locateService(
  name: string,
  ipv4Only: boolean,
  resolver: Resolver,
  random: () => number,
): Promise<Endpoint[]> {
  const records = (await resolver.services(name)).filter(({ host }) => host !== NOWHERE)
  const found: Endpoint[] = []
  let reason: unknown
  for (const { host, port } of inOrder(records, random).slice(0, MAX_TARGETS))
    try {
      found.push(...(await resolver.lookup(host, ipv4Only)).map((address) => ({ address, port })))
    } catch (error) {
      reason = error
    }
  if (found.length > 0) return found
  throw reason ?? Object.assign(new Error(`${name} is served nowhere`), { code: 'ENODATA' })
}
