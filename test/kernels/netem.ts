import { readFileSync } from 'node:fs'
import type { Host } from '../../src/lab/host.js'
import { ok, run, until } from '../support/hosts/lab.js'
import { type Path, pathOf } from '../support/hosts/path.js'

/** Both hosts and a router between them that is a bad network: netem (tc-netem(8)) acts on both of its devices. */
export class BadNetwork implements Disposable {
  readonly path: Path
  readonly #router: Host
  #isSet = false

  private constructor(path: Path) {
    this.path = path
    this.#router = path.routers[0]
  }

  /** Its devices have no offloads, because netem acts on a super-frame as a whole. */
  static async make(): Promise<BadNetwork> {
    const it = new BadNetwork(pathOf(1500, 1500))
    for (const [host, devices] of [
      [it.path.a, ['eth0']],
      [it.path.b, ['eth0']],
      [it.#router, ['left', 'right']],
    ] as const)
      for (const device of devices)
        await ok(host, 'ethtool', '-K', device, 'tso', 'off', 'gso', 'off', 'gro', 'off', 'tx', 'off')
    return it
  }

  /**
   * Takes the place of what was set before. A change of a netem that is there would keep its damage and its reordering
   * (net/sched/sch_netem.c, netem_change).
   * @param settings in the form of tc-netem(8)
   */
  async set(settings: string): Promise<void> {
    for (const device of ['left', 'right']) {
      if (this.#isSet) await ok(this.#router, 'tc', 'qdisc', 'del', 'dev', device, 'root')
      await ok(this.#router, 'tc', 'qdisc', 'add', 'dev', device, 'root', 'netem', ...settings.split(' '))
    }
    this.#isSet = true
  }

  [Symbol.dispose](): void {
    this.path[Symbol.dispose]()
  }
}

/** Sends by TCP from a to b for a while, in several connections. Returns what arrived, in Mbit/s. */
export async function tcpRate({ a, b }: Path, address: string, seconds: number): Promise<number> {
  const server = b.spawn('iperf3', ['-s', '-1', '-B', address])
  const listens = async () => (await ok(b, 'ss', '-ltnH', 'sport', '=', '5201')) !== ''
  await until('iperf3 listens', listens)
  const args = ['-c', address, '-t', `${seconds}`, '-O', '1', '-P', '4', '-J']
  const { stdout } = await run(a, 'iperf3', args, (seconds + 60) * 1_000)
  server.kill('SIGKILL')
  const { end, error } = JSON.parse(stdout)
  if (error !== undefined) throw new Error(`iperf3: ${error}`)
  return end.sum_received.bits_per_second / 1e6
}

/** The counters of a host's kernel since its start: those of /proc/net/snmp and /proc/net/netstat, as `TcpRetransSegs`. */
export function kernelCounters(host: Host): Map<string, number> {
  const rows = host.run(() =>
    ['snmp', 'netstat'].flatMap((name) =>
      readFileSync(`/proc/thread-self/net/${name}`, 'utf8').trim().split('\n'),
    ),
  )
  const counts = new Map<string, number>()
  for (let at = 0; at + 1 < rows.length; at += 2) {
    const [[protocol, ...names], [, ...values]] = [rows[at].split(' '), rows[at + 1].split(' ')]
    for (const [index, name] of names.entries())
      counts.set(`${protocol.slice(0, -1)}${name}`, Number(values[index]))
  }
  return counts
}

/** Packets with wrong headers, and datagrams with wrong checksums, without room in a receive buffer, or for no port. */
const DROPPED = [
  ...['IpInHdrErrors', 'IpInAddrErrors', 'IpInUnknownProtos', 'IpInDiscards', 'IpReasmFails'],
  ...['UdpInErrors', 'UdpNoPorts'],
]

/** What the kernel of a host has dropped since its start because it was damaged on the way or did not fit, by counter. */
export function droppedIn(host: Host): ReadonlyMap<string, number> {
  const counts = kernelCounters(host)
  return new Map(DROPPED.map((name) => [name, counts.get(name) ?? 0]))
}
