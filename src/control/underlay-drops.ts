import type { InterfaceDrops, Network } from './network.js'

/**
 * Counts what the interfaces to the peers have dropped of what any program sent. A UDP socket that is not told
 * of ICMP errors is not told of these drops either (net/ipv4/udp.c, udp_send_skb). Some queueing disciplines
 * (fq_codel) drop later, and nobody is told of that.
 */
export class UnderlayDrops {
  total = 0
  readonly #seen = new Map<string, InterfaceDrops>()

  /** Reads the drops of interfaces, given by name. For a new name, the count begins at zero. */
  look(network: Pick<Network, 'dropsOf'>, names: Iterable<string>): void {
    for (const [name, drops] of network.dropsOf(names)) this.take(name, drops)
  }

  /** Adds what an interface has dropped since the last call for it. */
  take(name: string, now: InterfaceDrops): void {
    const before = this.#seen.get(name)
    this.#seen.set(name, now)
    if (before === undefined || before.index !== now.index) return
    this.total += Math.max(0, now.txDropped - before.txDropped)
    if (now.qdisc === undefined) return
    const same = before.qdisc?.identity === now.qdisc.identity
    // Another one has begun at zero, and may look the same. The count has 32 bits, and may have run over.
    const more = (now.qdisc.drops - (before.qdisc?.drops ?? 0)) >>> 0
    this.total += same && more < 2 ** 31 ? more : now.qdisc.drops
  }
}
