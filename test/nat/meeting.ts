import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Host } from '../../src/lab/host.js'
import { ok, type RunningTunnel, run, until } from '../support/hosts/lab.js'
import { overlayOf, startMembers } from '../support/hosts/membership.js'
import { NatLab, type SiteChoices } from '../support/hosts/nat-lab.js'
import { KeyFolder } from '../support/hosts/wireguard-go.js'

/** Two hosts, each at a site of its own, or both at the only one. */
export interface Case {
  readonly mode: 'tap' | 'tun'
  readonly sites: readonly [SiteChoices, SiteChoices] | readonly [SiteChoices]
}

/** How what one host sends to the other one goes: not at all, by the hub, or directly. */
export type Way = 'none' | 'hub' | 'direct'

/** What came to be between two hosts. Times are counted from when both knew each other, in ms. */
export interface Meeting {
  readonly way: Way
  /** When the first ping was answered, whichever way it went; undefined if none was. */
  readonly reachedMs: number | undefined
  /** When the first ping went directly there and back; undefined if none did. */
  readonly directMs: number | undefined
}

export const PORT = 5149
const PREFIX = '10.9.0.0/24'

/** So long it is looked for a direct way. The pauses between tries are longer by then. */
const PATIENCE_MS = 15_000

/** A ping of this many bytes is not like anything else that is sent. */
const PING_BYTES = 700
/** Of a UDP datagram with a ping inside: what a relay adds has room, and so has an Ethernet header. */
const LENGTHS = '750-870'

/** Two members that are up, and what passes the hub. */
export class Meet implements AsyncDisposable {
  readonly lab: NatLab
  readonly hub: RunningTunnel
  readonly a: RunningTunnel
  readonly b: RunningTunnel
  readonly #keys: KeyFolder

  private constructor(lab: NatLab, keys: KeyFolder, hub: RunningTunnel, [a, b]: readonly RunningTunnel[]) {
    this.lab = lab
    this.#keys = keys
    this.hub = hub
    this.a = a
    this.b = b
  }

  static async start({ mode, sites }: Case): Promise<Meet> {
    const lab = await NatLab.create(...sites)
    const keys = new KeyFolder()
    try {
      lab.hub.run(() => writeFileSync('/proc/sys/net/ipv4/ip_forward', '1'))
      await ok(lab.hub, 'nft', COUNT_PINGS)
      const { hub, members } = await startMembers({
        mode,
        keys,
        hub: { host: lab.hub, port: PORT, address: lab.hubAddress },
        members: sites.flatMap(({ ports }, site) =>
          ports.map((port, which) => ({ host: lab.sites[site][which], port })),
        ),
        ...(mode === 'tun' ? { prefix: PREFIX } : {}),
      })
      const it = new Meet(lab, keys, hub, members)
      await until(
        'both know each other',
        async () => (await knows(it.a, mode)) && (await knows(it.b, mode)),
        20_000,
      )
      return it
    } catch (error) {
      keys[Symbol.dispose]()
      lab[Symbol.dispose]()
      throw error
    }
  }

  /** Which way a ping and its answer go now. */
  async way(): Promise<Way> {
    const before = await passedBy(this.lab.hub)
    const args = ['-c', '1', '-W', '0.3', '-s', `${PING_BYTES}`, overlayOf(2)]
    const { code } = await run(this.a.host, 'ping', args)
    if (code !== 0) return 'none'
    return (await passedBy(this.lab.hub)) === before ? 'direct' : 'hub'
  }

  /** Looks until there is a direct way, or patience has come to its end. */
  async meet(): Promise<Meeting> {
    const startedMs = performance.now()
    const elapsedMs = () => Math.round(performance.now() - startedMs)
    let reachedMs: number | undefined
    for (;;) {
      const way = await this.way()
      if (way !== 'none') reachedMs ??= elapsedMs()
      if (way === 'direct') return { way, reachedMs, directMs: elapsedMs() }
      if (elapsedMs() > PATIENCE_MS) return { way, reachedMs, directMs: undefined }
      await sleep(20)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.hub, this.a, this.b].map((it) => it.stop()))
    this.#keys[Symbol.dispose]()
    this.lab[Symbol.dispose]()
  }
}

async function knows(member: RunningTunnel, mode: Case['mode']): Promise<boolean> {
  const { peers } = await member.status(`${mode}0`)
  return peers.some(({ introduced_by }) => introduced_by !== null)
}

const COUNT_PINGS = `table ip count {
  counter pings { }
  chain prerouting {
    type filter hook prerouting priority raw
    udp length ${LENGTHS} counter name pings
  }
}
`

/** How many datagrams of pings have come to the hub. */
async function passedBy(hub: Host): Promise<number> {
  const printed = await ok(hub, 'nft', 'list', 'counter', 'ip', 'count', 'pings')
  return Number(/packets (\d+)/.exec(printed)?.[1])
}

/** Has two hosts meet, and says what came to be. */
export async function meet(it: Case): Promise<Meeting> {
  await using both = await Meet.start(it)
  return await both.meet()
}
