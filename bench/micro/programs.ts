import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { askStatus } from '../../src/command/client.js'
import { Program } from '../../src/lab/program.js'
import { TwoHosts } from '../../src/lab/two-hosts.js'
import { enableBpfStats, type ProgramStatistics, statisticsOf } from '../../src/linux/bpf.js'
import { getLink } from '../../src/linux/interface.js'
import { close } from '../../src/linux/libc.js'
import { PacketSender } from '../../src/linux/packet-sender.js'
import { ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4 } from '../../src/wire/ethernet.js'
import { quantile } from '../macro/statistics.js'
import type { Timing } from './micro.js'

/** The group of these timings. */
export const PROGRAMS =
  "the kernel's own datapath: each program, as the kernel measures it (BPF_ENABLE_STATS)"

const CLI = fileURLToPath(new URL('../../program/cli/main.js', import.meta.url))
const ADDRESSES = ['198.51.100.1', '198.51.100.2'] as const
const DEVICE = 'tap0'
const CARRIED_WITHIN_MS = 15_000

/** So many batches, so many frames in each; few enough that they all wait in the other end's queue. */
const BATCHES = 100
const BATCH = 500
const WARMUP_BATCHES = 10
/** Protocol 253 (RFC 3692) is for experiments, so no host answers. */
const PROTOCOL = 253
const FRAME_BYTES = 1_414

/** Sends frames from one host to another through the programs. @throws KernelError, UserError */
export async function measurePrograms(): Promise<Timing[]> {
  using two = new TwoHosts({ names: ['a', 'b'], underlay: [[`${ADDRESSES[0]}/24`], [`${ADDRESSES[1]}/24`]] })
  const [a, b] = two.hosts
  const tunnels = two.hosts.map((host, index) => {
    const args = [`10.9.0.${index + 1}`, ADDRESSES[1 - index], '--datapath', 'kernel', '--log-level', 'error']
    return new Program(host, process.execPath, [CLI, 'start', ...args], { stdio: 'ignore' })
  })
  await carried(async () => {
    const reports = await Promise.all(two.hosts.map((host) => host.run(() => askStatus(DEVICE))))
    return reports.every(({ peers }) => peers[0].datapath.by === 'kernel')
  })
  const [from, to] = [a, b].map((host) => host.netlink((netlink) => getLink(netlink, DEVICE)))
  const frame = frameOf(macOf(to.mac), macOf(from.mac))
  const sender = a.run(() => new PacketSender(from.index, ETHERTYPE_IPV4))
  const stats = enableBpfStats()
  try {
    const out: number[] = []
    const into: number[] = []
    for (let batch = -WARMUP_BATCHES; batch < BATCHES; batch++) {
      const before = [statisticsOf('udptun_out'), statisticsOf('udptun_in')]
      for (let i = 0; i < BATCH; i++) sender.send(frame)
      await sleep(2)
      if (batch < 0) continue
      out.push(nsEach(before[0], statisticsOf('udptun_out')))
      into.push(nsEach(before[1], statisticsOf('udptun_in')))
    }
    return [timing('out: wraps a frame of 1,400 bytes', out), timing('in: unwraps it', into)]
  } finally {
    close(stats)
    sender.close()
    await Promise.all(tunnels.map((tunnel) => tunnel.stop()))
  }
}

async function carried(check: () => Promise<boolean>): Promise<void> {
  for (const endMs = performance.now() + CARRIED_WITHIN_MS; performance.now() < endMs; await sleep(50))
    if (await check().catch(() => false)) return
  throw new Error(`the kernel does not carry the frames within ${CARRIED_WITHIN_MS} ms`)
}

function nsEach(before: ProgramStatistics, after: ProgramStatistics): number {
  return (after.ns - before.ns) / (after.runs - before.runs)
}

function macOf(text = ''): Buffer {
  return Buffer.from(text.replaceAll(':', ''), 'hex')
}

function frameOf(to: Buffer, from: Buffer): Buffer {
  const frame = Buffer.alloc(FRAME_BYTES)
  Buffer.concat([to, from]).copy(frame)
  frame.writeUInt16BE(ETHERTYPE_IPV4, 12)
  frame.writeUInt16BE(0x4500, ETHERNET_HEADER_BYTES)
  frame.writeUInt16BE(FRAME_BYTES - ETHERNET_HEADER_BYTES, ETHERNET_HEADER_BYTES + 2)
  frame.writeUInt16BE(0x4001, ETHERNET_HEADER_BYTES + 8)
  frame.writeUInt8(PROTOCOL, ETHERNET_HEADER_BYTES + 9)
  return frame
}

function timing(name: string, ns: readonly number[]): Timing {
  const at = (share: number) => Number(quantile(ns, share).toFixed(1))
  return {
    group: PROGRAMS,
    name,
    medianNs: at(0.5),
    p75Ns: at(0.75),
    p99Ns: at(0.99),
    batches: ns.length,
    gigabytesPerSecond: null,
  }
}
