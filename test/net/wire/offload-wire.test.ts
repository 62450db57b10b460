/**
 * Real traffic with all offloads on, over an underlay with none, so that every datagram is captured as it is:
 * tshark, which is no part of this project, must find every checksum right, outside and inside, and a frame
 * of no more than the MTU in each.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { ok, type Pair, run, startTunnel, twoHosts, until } from '../../support/hosts/lab.js'

const FIELDS = ['ip.checksum.status', 'tcp.checksum.status', 'udp.checksum.status', 'tcp.checksum']

const RIGHT = '1'
/**
 * The kernel writes a TCP checksum of zero as all ones, which is the same number (RFC 1071). tshark calls it wrong. Each
 * 65,536th segment has it.
 */
const isOtherZero = (checksum: string) => checksum === '0xffff'
const isAbsent = (status: string) => status === '3' || status === 'Not present'

async function withoutOffloads({ a, b }: Pair): Promise<void> {
  for (const host of [a, b])
    await ok(host, 'ethtool', '-K', 'eth0', 'tx', 'off', 'gso', 'off', 'tso', 'off', 'gro', 'off')
}

/** Traffic of every kind that is cut and joined: bulk both ways, over IPv4 and IPv6, TCP and UDP. */
async function load({ a, b }: Pair): Promise<void> {
  const server = b.spawn('iperf3', ['-s'])
  await until('iperf3 listens', async () => (await ok(b, 'ss', '-ltnH', 'sport', '=', '5201')) !== '')
  const transfer = async (...args: string[]) => {
    let why = ''
    // The server takes one transfer at a time, and it may not know yet that the one before is over.
    await until('iperf3 is not busy', async () => {
      const { code, stdout, stderr } = await run(a, 'iperf3', args)
      why = code === 0 ? '' : stderr || stdout
      return !why.includes('server is busy')
    })
    if (why !== '') throw new Error(`iperf3 ${args.join(' ')}: ${why}`)
  }
  for (const address of ['10.9.0.2', 'fd00:9::2']) {
    await transfer('-c', address, '--bidir', '-n', '6M')
    await transfer('-c', address, '-u', '-b', '200M', '-l', '1300', '-n', '2M')
    await transfer('-c', address, '-u', '-b', '50M', '-l', '63', '-n', '100K')
  }
  server.kill()
}

for (const [mode, datapath] of [
  ['tap', 'workers'],
  ['tun', 'workers'],
  ['tap', 'kernel'],
  ['tun', 'kernel'],
] as const) {
  t.test(`${mode}, by the ${datapath}: tshark finds every checksum right in every datagram`, async (t) => {
    using pair = twoHosts()
    const { a, b, underlay } = pair
    const folder = mkdtempSync(join(tmpdir(), 'udptun-fast-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    const capture = join(folder, 'underlay.pcap')
    await withoutOffloads(pair)
    const flags = ['--mode', mode, '--dev', 'tap0', '--datapath', datapath]
    const local = (host: 1 | 2) => [`10.9.0.${host}`, `fd00:9::${host}`, ...flags]
    const near = await startTunnel(a, ...local(1), underlay.b)
    const far = await startTunnel(b, ...local(2), underlay.a)
    for (const tunnel of [near, far])
      await until(
        `the ${datapath} carries`,
        async () => (await tunnel.status()).peers[0].datapath.by === datapath,
        10_000,
      )

    const dump = b.spawn('tcpdump', ['-i', 'eth0', '-w', capture, '-B', '65536', 'udp', 'port', '5149'], {
      stdio: 'ignore',
    })
    await sleep(1_000)
    await load(pair)
    await sleep(500)
    dump.kill('SIGINT')
    await new Promise((resolve) => dump.once('exit', resolve))

    const decode = ['-d', `udp.port==5149,${mode === 'tap' ? 'eth' : 'ip'}`]
    const check = ['ip', 'tcp', 'udp'].flatMap((layer) => ['-o', `${layer}.check_checksum:TRUE`])
    const fields = FIELDS.flatMap((field) => ['-e', field])
    const table = await ok(a, 'tshark', '-r', capture, ...decode, ...check, '-T', 'fields', ...fields)
    const rows = table
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t'))
    const statuses = rows.map(([ip, tcp, udp, sum]) =>
      `${ip},${isOtherZero(sum) ? RIGHT : tcp},${udp}`.split(',').filter((it) => it !== ''),
    )
    const isRight = (status: string) => status === RIGHT || status === 'Good'
    // The kernel's own datapath leaves out the outer UDP checksum ("not present").
    const bad = statuses.filter((row) => row.filter((it) => !isRight(it) && !isAbsent(it)).length > 0)
    const absent = statuses.filter((row) => row.some(isAbsent))
    if (datapath === 'workers') t.equal(absent.length, 0)
    else t.ok(absent.length > 0.99 * rows.length, `${absent.length} of ${rows.length} have no outer checksum`)
    t.equal(absent.filter((row) => row.filter(isAbsent).length > 1).length, 0, 'all inside have theirs')
    t.same(bad.slice(0, 3), [], `${bad.length} of ${rows.length} datagrams have a checksum that is not right`)
    // The outer IP and UDP have one each; a packet inside has one more, or two where it is IPv4.
    const inner = statuses.filter((row) => row.length >= 3)
    t.ok(inner.length > 10_000, `${inner.length} of ${rows.length} datagrams have checksums inside`)

    const longest = await ok(a, 'tshark', '-r', capture, '-T', 'fields', '-e', 'frame.len')
    const most = Math.max(...longest.trim().split('\n').map(Number))
    t.equal(most, 1514, 'the longest is a full frame of the underlay')

    for (const tunnel of [near, far]) {
      const { offloads, super_frames, drops } = await tunnel.status()
      t.same(offloads, { udp_segment: true, udp_gro: true, device_tso: true, device_uso: true })
      if (datapath === 'workers') t.ok(super_frames.read > 0, `${super_frames.read} super-frames were cut`)
      t.equal(drops.malformed + drops.device_refused, 0)
      t.equal((await tunnel.stop()).code, 0)
    }
  })
}

t.test('--offload off does without, towards an end that has them', async (t) => {
  using pair = twoHosts()
  const { a, b, underlay } = pair
  const near = await startTunnel(a, '10.9.0.1', 'fd00:9::1', underlay.b, '--offload', 'off')
  const far = await startTunnel(b, '10.9.0.2', 'fd00:9::2', underlay.a)
  await load(pair)
  const status = await near.status()
  t.same(status.offloads, { udp_segment: false, udp_gro: false, device_tso: false, device_uso: false })
  t.same(status.super_frames, { read: 0, written: 0 })
  t.equal(
    near.log.filter(({ offload }) => offload !== undefined).length,
    0,
    'what was asked for is no warning',
  )
  t.ok((await far.status()).super_frames.written > 0, 'the other end joins what came one by one')
  for (const tunnel of [near, far]) t.equal((await tunnel.stop()).code, 0)
})
