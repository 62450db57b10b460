import { randomBytes, randomInt } from 'node:crypto'
import { type Encap, encapFor } from '../encap/encap.js'
import {
  AF_UNIX,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
  VIRTIO_NET_HDR_GSO_UDP_L4,
} from '../linux/constants.js'
import { Doorbell } from '../linux/eventfd.js'
import { close, must, read, socketpair, write } from '../linux/libc.js'
import type { NativeMemory } from '../linux/memory.js'
import { LOCAL_BYTES, SOCKADDR_BYTES } from '../linux/sockaddr.js'
import { virtio_net_hdr } from '../linux/structs.js'
import { AccessRules } from '../memory/access-rules.js'
import { Fdb } from '../memory/fdb.js'
import { FdbUpkeep } from '../memory/fdb-upkeep.js'
import { KeypairTable } from '../memory/keypair-table.js'
import { Offloads } from '../memory/offloads.js'
import { PeerTable } from '../memory/peer-table.js'
import { StateWord, type WarmUpPlan } from '../memory/plan.js'
import { Routes } from '../memory/routes.js'
import { StateWords } from '../memory/state-words.js'
import { DEVICE } from '../memory/target.js'
import { writeControl } from '../wire/control.js'
import { ECN } from '../wire/ecn.js'
import { ETHERNET, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../wire/ethernet.js'
import { IPPROTO_ICMP, IPPROTO_ICMPV6 } from '../wire/icmp.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, UDP_HEADER_BYTES } from '../wire/ip.js'
import { IPV4 } from '../wire/ipv4.js'
import { IPV6 } from '../wire/ipv6.js'
import { IPPROTO_TCP, TCP, TCP_ACK, TCP_PSH } from '../wire/tcp.js'
import { IPPROTO_UDP, UDP } from '../wire/udp.js'
import { datagramsIn } from './inbound/receive-vector.js'
import type { Loop } from './loop.js'
import type { LoopTask, WorkerRole, WorkerTask } from './task.js'

/** Rounds until a worker is warm. */
const ROUNDS = 6_000

/** How long a slice may keep the tunnel's own fds waiting. */
const SLICE_MS = 1

/**
 * The udp worker reads the device in as many rounds as it does not, and then the other way round. A long super-frame
 * now and then makes it give the device back.
 */
const ALTERNATE = 64
const LONG_EVERY = 8

/** The doorbell is rung, and a control frame comes from the network, once in this many rounds. */
const SELDOM = 16

/**
 * The small tunnel's clock advances a second in this many rounds. So few seconds pass that no address is
 * forgotten.
 */
const SECOND = 64

/**
 * Main is told of a control frame or of a local address once in this many rounds, and makes new keys. Main looks into its
 * own tables, and finds nothing.
 */
const RARELY = 512

/**
 * Runs the data path before it is needed. V8 interprets code that has not run some thousand times. A frame then
 * costs tens of microseconds a hop instead of two. On a tunnel with little traffic this would last long.
 *
 * The warm-up uses a small tunnel of the worker's own. It is made of the same classes over the same memory, so
 * that what V8 learns and compiles also serves the real tunnel. It has both loops, and socket pairs instead of
 * device and network. A frame that goes in at the device comes out of it again. The warm-up takes the first
 * idle moments of a worker. Nothing of it remains.
 */
export class WarmUp {
  readonly #memory: NativeMemory
  readonly #task: WorkerTask
  readonly #assemble: (task: LoopTask) => Loop
  #tunnel: SmallTunnel | undefined
  #round = 0

  constructor(memory: NativeMemory, task: WorkerTask, assemble: (task: LoopTask) => Loop) {
    this.#memory = memory
    this.#task = task
    this.#assemble = assemble
  }

  get done(): boolean {
    return this.#round >= ROUNDS
  }

  /** Continues for {@link SLICE_MS}, or until the end. */
  slice(): void {
    const endMs = performance.now() + SLICE_MS
    this.#tunnel ??= new SmallTunnel(this.#memory, this.#task, this.#assemble)
    do this.#tunnel.round(this.#round++)
    while (!this.done && performance.now() < endMs)
    if (this.done) this.close()
  }

  /** Ends the warm-up at any point. */
  close(): void {
    this.#round = ROUNDS
    this.#tunnel?.close()
    this.#tunnel = undefined
  }
}

/** Both loops of a tunnel in one thread, and the frames that are put in at its device. */
class SmallTunnel {
  readonly #memory: NativeMemory
  readonly #plan: WarmUpPlan
  readonly #offloads: Offloads
  readonly #rules: AccessRules
  readonly #peers: PeerTable
  /** Only if the tunnel is private. */
  readonly #keypairs: KeypairTable | undefined
  readonly #fds: number[] = []
  readonly #bell: Doorbell
  readonly #tap: Loop
  readonly #udp: Loop
  /** The far end of the socket pair that stands for the device. */
  readonly #overlay: number
  /** The socket that stands for the network, on the device's side. */
  readonly #near: number
  readonly #fdbs: readonly FdbUpkeep[]
  readonly #bursts: readonly (readonly Uint8Array[])[]
  readonly #long: readonly Uint8Array[]
  readonly #control: Uint8Array
  readonly #out = new Uint8Array(8192)

  constructor(memory: NativeMemory, task: WorkerTask, assemble: (task: LoopTask) => Loop) {
    const plan = task.plan.warmUp[task.role]
    const words = new StateWords(memory, plan.state)
    words.maxFrameBytes = memory.byteLength
    // Some frames are padded, and some are not.
    words.paddingLimitBytes = SEGMENT_BYTES
    this.#memory = memory
    this.#plan = plan
    // A socket of a pair has no name. It sends to the other socket, and the sender's name is all zeros. So is
    // the address of the one peer.
    this.#peers = new PeerTable(memory, plan.peers, plan.peerRows)
    this.#peers.setAddress(0, new Uint8Array(SOCKADDR_BYTES))
    const everything = [4, 16].map((bytes) => ({ address: new Uint8Array(bytes), prefixLength: 0, row: 0 }))
    new Routes(memory, plan.routes, plan.routeLimit).set(everything)
    const { keypairs, keypairRows, peerRows } = plan
    if (task.keys !== undefined) this.#keypairs = new KeypairTable(memory, keypairs, keypairRows, peerRows)
    this.#offloads = new Offloads(memory, plan.offloads)
    this.#rules = new AccessRules(memory, plan.accessRules)
    this.#offloads.set('device_tso', true)
    this.#offloads.set('device_uso', true)
    const [device, overlay] = this.#pair()
    const [near, far] = this.#pair()
    this.#overlay = overlay
    this.#near = near
    this.#bell = Doorbell.open()
    const part = (role: WorkerRole, udpFd: number, fdb: number) => {
      const { mode, dsMask, relay, vxlan, keys, spread } = task
      const bells = { tapBellFd: this.#bell.fd, udpBellFd: this.#bell.fd }
      return assemble({
        role,
        plan: { ...plan, fdb },
        mode,
        dsMask,
        relay,
        vxlan,
        keys,
        spread,
        tapFd: device,
        udpFd,
        flowFds: task.flowFds.map(() => udpFd),
        ...bells,
        sockaddrBytes: 0,
      })
    }
    // Before the loops, because they copy the FDB's random multipliers.
    this.#fdbs = [this.#database(plan.fdb, 0), this.#database(plan.farFdb, DEVICE)]
    this.#tap = part('tap', near, plan.fdb)
    this.#udp = part('udp', far, plan.farFdb)
    const encap = encapFor(task.mode, task.keys !== undefined, task.vxlan?.vni)
    this.#bursts = burstsFor(encap)
    this.#long = ([4, 6] as const).map((it) =>
      packet(encap.l2Bytes, it, IPPROTO_TCP, LONG_BYTES, LONG_SEGMENT_BYTES),
    )
    this.#control = writeControl(task.mode, { type: 'hello', token: 0n, sizeBytes: 0 })
  }

  /** One end's FDB, in which the destination of all frames is at `port`. */
  #database(at: number, port: number): FdbUpkeep {
    const { peerRows } = this.#plan
    const fdb = new FdbUpkeep(this.#memory, at, peerRows)
    fdb.initialise(() => randomInt(2 ** 32))
    // V8 must see only the class that the loops have.
    new Fdb(this.#memory, at, peerRows).learn(MAC_HIGH, DESTINATION_LOW, port)
    return fdb
  }

  /**
   * In a private tunnel: new keys, so that one loop can open what the other one seals. Each are over a little sooner than
   * those before, but never in the warm-up.
   */
  #renewKeys(table: KeypairTable, round: number): void {
    const key = randomBytes(32)
    // As great as an index may be: see ARCHITECTURE, Warm before the first frame.
    const index = 2 ** 32 - this.#plan.keypairRows
    table.release(0)
    table.reserve(0, index, 0)
    table.establish(0, index, key, key, Number.MAX_SAFE_INTEGER - round)
    table.sealWith(0, 0)
  }

  /** Carries some frames through. By turns a run is one message, or a message for each frame. */
  round(index: number): void {
    const bursts = this.#bursts
    this.#offloads.set('udp_segment', Math.floor(index / bursts.length) % 2 === 0)
    for (const frame of bursts[index % bursts.length]) write(this.#overlay, frame, frame.length)
    if ((index & ALTERNATE) !== 0 && index % LONG_EVERY === 0) {
      const frame = this.#long[(index / LONG_EVERY) & 1]
      write(this.#overlay, frame, frame.length)
    }
    const second = Math.floor(index / SECOND)
    for (const fdb of this.#fdbs) fdb.tick(second)
    this.#rules.tick(second)
    if (index % SELDOM <= 1) this.#moveSource(index % SELDOM === 1)
    if (index % SELDOM === 0) {
      this.#bell.ring()
      if (index % RARELY === 0) {
        if (this.#keypairs !== undefined) this.#renewKeys(this.#keypairs, index)
        this.#memory.i32[(this.#plan.state >>> 2) + StateWord.controlTold] = 0
        this.#peers.takeNews(0)
      }
      write(this.#near, this.#control, this.#control.length)
    }
    let busy: boolean
    do {
      busy = this.#tap.run(0)
      if (this.#udp.run(0)) busy = true
      if (this.#turnBack()) busy = true
    } while (busy)
    // No socket pair can deliver a run, as UDP_GRO does. So this function is called here.
    datagramsIn(SEGMENTS_BYTES, SEGMENT_BYTES)
    while (read(this.#overlay, this.#out, this.#out.length) > 0);
  }

  /**
   * While the udp worker reads the device, it sends to the near end. All comes back at once, so that a long super-frame
   * makes a long record. Whether there was something.
   */
  #turnBack(): boolean {
    let some = false
    for (;;) {
      const bytes = read(this.#near, this.#out, this.#out.length)
      if (bytes <= 0) return some
      write(this.#near, this.#out, bytes)
      some = true
    }
  }

  /** What is sent bears a source address, and is news to whom it comes, or neither. A socket pair ignores the address. */
  #moveSource(on: boolean): void {
    const local = new Uint8Array(LOCAL_BYTES).fill(on ? 1 : 0)
    this.#peers.setAddress(0, new Uint8Array(SOCKADDR_BYTES), local, on)
  }

  close(): void {
    for (const fd of this.#fds) close(fd)
    this.#bell.close()
    this.#memory.release(this.#plan.state, this.#plan.end - this.#plan.state)
  }

  #pair(): readonly [number, number] {
    const fds = new Int32Array(2)
    must('socketpair', () => socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds))
    this.#fds.push(fds[0], fds[1])
    return [fds[0], fds[1]]
  }
}

/** A host at each end: the first two bytes of both MACs, and the other four. */
const MAC_HIGH = 0x0200
const SOURCE_LOW = 1
const DESTINATION_LOW = 2
const MAC_BYTES = 6

const IP_HEADER_BYTES = { 4: IPV4_HEADER_BYTES, 6: IPV6_HEADER_BYTES } as const
/** With timestamps, as Linux sends it. */
const TCP_HEADER_BYTES = 32
const SMALL_BYTES = 56
/** Sequence number of the first byte. The following ones wrap around. */
const SEQUENCE = 0xffff_ff80
/** Super-frames have four segments, the last one short. */
const SEGMENT_BYTES = 200
const SEGMENTS_BYTES = 3 * SEGMENT_BYTES + SMALL_BYTES
/** A long super-frame is more than a quiet worker takes, but not too long for a datagram of a socket pair. */
const LONG_SEGMENT_BYTES = 1400
const LONG_BYTES = 3 * LONG_SEGMENT_BYTES

/**
 * What a device hands over now and then: to one peer and to all, several frames at a time, and super-frames.
 * Each frame is behind its `virtio_net_hdr`. A burst does not fill a socket's queue (net.unix.max_dgram_qlen,
 * 10).
 */
function burstsFor({ l2Bytes, ethernet }: Encap): readonly (readonly Uint8Array[])[] {
  return ([4, 6] as const).flatMap((version) => {
    const question = packet(l2Bytes, version, IPPROTO_UDP, SMALL_BYTES, 0)
    if (ethernet) question.fill(0xff, virtio_net_hdr.size, virtio_net_hdr.size + MAC_BYTES)
    const echo = packet(l2Bytes, version, version === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, SMALL_BYTES, 0)
    const datagram = packet(l2Bytes, version, IPPROTO_UDP, SMALL_BYTES, 0)
    const shorter = packet(l2Bytes, version, IPPROTO_UDP, SMALL_BYTES / 2, 0)
    const marked = packet(l2Bytes, version, IPPROTO_UDP, SMALL_BYTES, 0, ECN.ect0)
    const acknowledgment = packet(l2Bytes, version, IPPROTO_TCP, 0, 0)
    const tcp = packet(l2Bytes, version, IPPROTO_TCP, SEGMENTS_BYTES, SEGMENT_BYTES)
    const udp = packet(l2Bytes, version, IPPROTO_UDP, SEGMENTS_BYTES, SEGMENT_BYTES)
    const several = [datagram, datagram, marked, marked, shorter]
    return [[question], [echo], [datagram], [acknowledgment], [tcp], [udp], several]
  })
}

/** A frame (packet in tun mode) of zeros, except for the fields that this program reads. */
function packet(
  l2Bytes: number,
  version: 4 | 6,
  protocol: number,
  payloadBytes: number,
  gsoSize: number,
  ecn = 0,
): Uint8Array {
  const l4 = l2Bytes + IP_HEADER_BYTES[version]
  const l4Bytes = (protocol === IPPROTO_TCP ? TCP_HEADER_BYTES : UDP_HEADER_BYTES) + payloadBytes
  const bytes = new Uint8Array(virtio_net_hdr.size + l4 + l4Bytes)
  const hdr = new DataView(bytes.buffer)
  const frame = new DataView(bytes.buffer, virtio_net_hdr.size)
  if (l2Bytes !== 0) {
    frame.setUint16(ETHERNET.type, version === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6)
    frame.setUint16(ETHERNET.destination, MAC_HIGH)
    frame.setUint32(ETHERNET.destination + 2, DESTINATION_LOW)
    frame.setUint16(ETHERNET.source, MAC_HIGH)
    frame.setUint32(ETHERNET.source + 2, SOURCE_LOW)
  }
  if (version === 4) {
    frame.setUint8(l2Bytes, 0x45)
    frame.setUint8(l2Bytes + IPV4.tos, ecn)
    frame.setUint16(l2Bytes + IPV4.totalLength, IPV4_HEADER_BYTES + l4Bytes)
    frame.setUint8(l2Bytes + IPV4.protocol, protocol)
  } else {
    frame.setUint16(l2Bytes, 0x6000 | (ecn << 4))
    frame.setUint16(l2Bytes + IPV6.payloadLength, l4Bytes)
    frame.setUint8(l2Bytes + IPV6.nextHeader, protocol)
  }
  if (protocol === IPPROTO_TCP) {
    frame.setUint32(l4 + TCP.sequence, SEQUENCE)
    frame.setUint8(l4 + TCP.dataOffset, (TCP_HEADER_BYTES / 4) << 4)
    frame.setUint8(l4 + TCP.flags, payloadBytes === 0 ? TCP_ACK : TCP_ACK | TCP_PSH)
  } else if (protocol === IPPROTO_UDP) frame.setUint16(l4 + UDP.length, l4Bytes)
  else return bytes
  const checksum = protocol === IPPROTO_TCP ? TCP.checksum : UDP.checksum
  // Of the pseudo header, as the kernel leaves it: all addresses are zero. Only frames with right checksums are joined.
  frame.setUint16(l4 + checksum, protocol + l4Bytes)
  hdr.setUint8(virtio_net_hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM)
  hdr.setUint16(virtio_net_hdr.csum_start, l4, true)
  hdr.setUint16(virtio_net_hdr.csum_offset, checksum, true)
  if (gsoSize !== 0) {
    hdr.setUint8(virtio_net_hdr.gso_type, gsoType(version, protocol))
    hdr.setUint16(virtio_net_hdr.gso_size, gsoSize, true)
  }
  return bytes
}

function gsoType(version: 4 | 6, protocol: number): number {
  if (protocol === IPPROTO_UDP) return VIRTIO_NET_HDR_GSO_UDP_L4
  return version === 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6
}
