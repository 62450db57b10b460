import { METRICS } from '../metrics.js'
import type { Results } from '../results.js'
import { WIDE_SPREAD } from './figures.js'
import { plain, table } from './words.js'

/** The machine of the measurement, and the versions of all programs. */
export function machineSection(results: Results): string {
  const { machine, generator, underlays, peers } = results
  const facts: [string, string][] = [
    ['CPU', `${machine.cpu}, ${machine.cores} cores${machine.virtual ? ', a virtual machine' : ''}`],
    ['memory', METRICS.residentBytes.format(machine.memoryBytes)],
    ['system', `${machine.system}, Linux ${machine.kernel}, ${machine.architecture}`],
    ['Node', machine.node],
    ['TCP congestion control', machine.tcpCongestionControl],
    ['load average before', machine.loadAverage.toFixed(2)],
    ['traffic', `${generator.name} ${generator.version}`],
    ...underlays.map(({ title, mtuBytes, offloadsOn, rate }): [string, string] => [
      `underlay, ${title}`,
      `a veth pair, MTU ${mtuBytes}${rate === null ? '' : `, held to ${rate}`}, offloads: ${offloadsOn.join(', ') || 'none'}`,
    ]),
    ...peers.map(({ title, version, encrypts }): [string, string] => [
      title,
      `${version}${encrypts ? ', encrypts' : ', does not encrypt'}`,
    ]),
  ]
  return `## Machine and versions\n\n${table([['', ''], ...facts.map((row) => row.map(plain))], ['l', 'l'])}`
}

/** The meaning of the figures. */
export function methodSection({ rounds, seconds }: Results): string {
  return `## How it was measured

- Two hosts made of network namespaces, a veth pair between them; both ends of the tunnel, the traffic's two programs and the kernel share this one machine. A veth carries super-frames whole and so flatters whatever uses offloads: that is why there is an underlay without.
- ${rounds} interleaved rounds (A B C, B C A, …), each peer started anew in each and measured after its first ping, udptun-fast a second after: until then V8 compiles. Every figure is the median of the rounds, beside it the lowest and highest. Of five rounds these two hold the true median between them 94 times in 100.
- Every ratio is computed within its round, before the median is taken: neighbours in time share the machine's mood. "undecided" means that the rounds do not agree which is ahead; (!) that they lie more than ${WIDE_SPREAD * 100}% apart.
- Throughput is payload that reached the receiving program, over ${seconds} s. Datagrams as fast as they come: counted where they arrive.
- CPU of the tunnel: processor time of both ends' processes, in user space and kernel, for each gigabyte of payload delivered. Work that the kernel does outside of any process, as all of VXLAN's, is not in it.
- Memory: the resident set of the larger of the two ends' processes, after the load.`
}
