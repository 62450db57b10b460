import { randomBytes, randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import koffi from 'koffi'
import type { Test } from 'tap'
import { systemClock } from '../../src/control/kernel/system-clock.js'
import { PeerRows } from '../../src/control/peer/rows.js'
import { openTables } from '../../src/control/tables.js'
import { AF_UNIX, MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK } from '../../src/linux/constants.js'
import { EAGAIN } from '../../src/linux/errno.js'
import { Doorbell } from '../../src/linux/eventfd.js'
import { close, must, recv, sendmmsg, socketpair, write } from '../../src/linux/libc.js'
import { NativeMemory } from '../../src/linux/memory.js'
import { encodeSockaddr, SOCKADDR_BYTES, sockaddrLength } from '../../src/linux/sockaddr.js'
import { virtio_net_hdr } from '../../src/linux/structs.js'
import { openUdp, sendDatagram, type UdpSocket } from '../../src/linux/udp.js'
import { C, type CounterName, counterBlock } from '../../src/memory/counters.js'
import { FdbUpkeep } from '../../src/memory/fdb-upkeep.js'
import { KeypairTable } from '../../src/memory/keypair-table.js'
import { Mailbox } from '../../src/memory/mailbox.js'
import { Offloads } from '../../src/memory/offloads.js'
import { PathLimits } from '../../src/memory/path-limits.js'
import { P, PEER_STRIDE, type PeerCounterName, peerCounterBlock } from '../../src/memory/peer-counters.js'
import { PeerTable } from '../../src/memory/peer-table.js'
import { planMemory, StateWord } from '../../src/memory/plan.js'
import { RelayTable } from '../../src/memory/relay-table.js'
import { Ring } from '../../src/memory/ring.js'
import { StateWords } from '../../src/memory/state-words.js'
import { StormLimit } from '../../src/memory/storm-limit.js'
import { byteOperations } from '../../src/offload/bytes.js'
import { ECN_MASK } from '../../src/wire/ecn.js'
import { VXLAN_PORT } from '../../src/wire/vxlan.js'
import type { Loop } from '../../src/worker/loop.js'
import type { WorkerRole } from '../../src/worker/task.js'
import { assemble } from '../../src/worker/worker.js'

const BUFFERS = { receiveBufferBytes: 1 << 20, sendBufferBytes: 1 << 20 }
const LOOPBACK = '127.0.0.1'

/** Most time for the workers to let go of retired rows, on a busy machine. */
const PATIENCE_MS = 10_000

/**
 * The loops of both workers as in the program, in tap mode, with its shared memory and two rows for peers. They
 * run in one thread, and the test decides when each takes a turn. The device is a pair of sockets. The underlay
 * and the peers are UDP sockets.
 */
export class WorkerPair {
  readonly memory: NativeMemory
  readonly table: PeerTable
  readonly keypairs: KeypairTable
  readonly limits: PathLimits
  readonly relays: RelayTable
  readonly words: StateWords
  readonly offloads: Offloads
  readonly storm: StormLimit
  readonly fdb: FdbUpkeep
  readonly rows: PeerRows
  readonly control: Mailbox
  readonly rings: { readonly outbound: Ring; readonly inbound: Ring }
  /** While this is true, the kernel's send buffer is full. */
  full = false
  readonly #socket: UdpSocket
  readonly #overlay: number
  readonly #loops: Readonly<Record<WorkerRole, Loop>>
  readonly #bells: readonly Doorbell[]
  readonly #counters: readonly Float64Array[]
  readonly #peerCounters: readonly Float64Array[]
  readonly #test: Test
  readonly #name: number
  #keypairRow = 0

  /**
   * @param spread whether messages are sealed and opened in batches, as with crypto workers
   * @param vni that of VXLAN, if it is that
   */
  constructor(t: Test, isPrivate: boolean, spread = false, vni?: number) {
    const plan = planMemory(2)
    const memory = NativeMemory.allocate(plan.bytes + SOCKADDR_BYTES)
    const fds = new Int32Array(2)
    must('socketpair', () => socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds))
    const [tapFd, overlay] = fds
    const socket = openUdp({ listen: { address: LOOPBACK, port: 0 }, ...BUFFERS })
    const bells = { tap: Doorbell.open(), udp: Doorbell.open() }
    t.teardown(() => {
      this.rows.close()
      for (const fd of [tapFd, overlay, socket.fd]) close(fd)
      for (const bell of [bells.tap, bells.udp]) bell.close()
    })
    const state = plan.state >>> 2
    memory.i32[state + StateWord.maxFrameBytes] = 2000
    memory.i32[state + StateWord.paddingLimit] = 1500
    this.offloads = new Offloads(memory, plan.offloads)
    this.offloads.set('udp_segment', true)
    this.fdb = new FdbUpkeep(memory, plan.fdb, plan.peerRows)
    this.fdb.initialise(() => randomInt(2 ** 32))
    this.memory = memory
    this.table = new PeerTable(memory, plan.peers, plan.peerRows)
    this.keypairs = new KeypairTable(memory, plan.keypairs, plan.keypairRows, plan.peerRows)
    this.limits = new PathLimits(memory, plan.pathLimits)
    this.relays = new RelayTable(memory, plan.relays, plan.peerRows)
    this.words = new StateWords(memory, plan.state)
    this.storm = new StormLimit(memory, plan.storm)
    this.control = new Mailbox(memory, plan.control, plan.state + StateWord.controlTold * 4)
    const ring = ({ at, dataBytes }: { at: number; dataBytes: number }) => new Ring(memory, at, dataBytes)
    this.rings = { outbound: ring(plan.outbound), inbound: ring(plan.inbound) }
    this.#socket = socket
    this.#overlay = overlay
    this.#bells = [bells.tap, bells.udp]
    this.#test = t
    this.#name = plan.bytes
    const between: typeof sendmmsg = (fd, vector, count, flags) => {
      if (!this.full) return sendmmsg(fd, vector, count, flags)
      koffi.errno(EAGAIN)
      return -1
    }
    const bytes = byteOperations(memory)
    const shared = {
      plan,
      mode: 'tap' as const,
      dsMask: ECN_MASK,
      relay: false,
      spread,
      tapFd,
      udpFd: socket.fd,
      flowFds: [],
      tapBellFd: bells.tap.fd,
      udpBellFd: bells.udp.fd,
      sockaddrBytes: sockaddrLength(socket.family),
      vxlan: vni === undefined ? undefined : { vni, port: VXLAN_PORT },
      keys: isPrivate ? { mac1: randomBytes(32), cookie: randomBytes(32) } : undefined,
    }
    const loop = (role: WorkerRole) => assemble({ ...shared, role }, memory, bytes, { sendmmsg: between })
    this.#loops = { tap: loop('tap'), udp: loop('udp') }
    const workers = [plan.tap, plan.udp]
    this.#counters = workers.map(({ counters }) => counterBlock(memory, counters))
    this.#peerCounters = workers.map((it) => peerCounterBlock(memory, it.peerCounters, plan.peerRows))
    const platform = { memory, plan, clock: systemClock(), workers: { ring: () => this.ring() } }
    this.rows = new PeerRows(platform, openTables(platform))
  }

  /** Opens the socket of a peer. */
  openPeer(): UdpSocket {
    const socket = openUdp({ listen: { address: LOOPBACK, port: 0 }, ...BUFFERS })
    this.#test.teardown(() => close(socket.fd))
    return socket
  }

  /** Gives a row to this peer. */
  join(row: number, peer: UdpSocket): void {
    this.table.setAddress(row, encodeSockaddr(this.#socket.family, peer.local))
  }

  /** Gives the peer of a row keys. What is sealed for the peer can be opened as if it came from the peer. */
  key(row: number): void {
    const keypair = this.#keypairRow++
    const key = randomBytes(32)
    this.keypairs.reserve(keypair, 0x7700_0000 + keypair, row)
    this.keypairs.establish(keypair, 0x7700_0000 + keypair, key, key, Number.POSITIVE_INFINITY)
    this.keypairs.sealWith(row, keypair)
    this.ring()
  }

  /** The key of a row, as {@link key} has given it. */
  keyOf(row: number): Buffer {
    const at = this.keypairs.sendKey(this.keypairs.sealingKeyRow(row))
    return Buffer.from(this.memory.u8.slice(at, at + 32))
  }

  /** Removes the peer of a row, in the same way as main. */
  leave(row: number): void {
    const keypair = this.keypairs.sealingKeyRow(row)
    this.keypairs.sealWith(row, -1)
    if (keypair >= 0) this.keypairs.release(keypair)
    this.table.clear(row)
    this.fdb.forget(row)
    this.rows.retire(row)
  }

  /** Main rings for both workers. */
  ring(): void {
    for (const bell of this.#bells) bell.ring()
  }

  /** One worker takes one turn. */
  turn(role: WorkerRole): void {
    this.#loops[role].turn(0)
  }

  /** These workers (by default both) take some turns. */
  step(...roles: readonly WorkerRole[]): void {
    for (let turn = 0; turn < 4; turn++)
      for (const role of roles.length === 0 ? (['tap', 'udp'] as const) : roles) this.turn(role)
  }

  /** Whether the retired rows become free while `work` is repeated. */
  async settles(withinMs = PATIENCE_MS, work = () => this.step()): Promise<boolean> {
    let settled = false
    void Promise.resolve(this.rows.settle()).then(() => {
      settled = true
    })
    for (const endMs = performance.now() + withinMs; !settled && performance.now() < endMs; await sleep(1))
      work()
    return settled
  }

  /** The host puts a frame into the device. */
  send(frame: Uint8Array): void {
    const bytes = Buffer.concat([Buffer.alloc(virtio_net_hdr.size), frame])
    must('write', () => write(this.#overlay, bytes, bytes.length))
  }

  /** Frames that came out of the device. */
  received(): Buffer[] {
    return datagrams(this.#overlay).map((bytes) => bytes.subarray(virtio_net_hdr.size))
  }

  /** A peer sends a datagram to this host. */
  sendFrom(peer: UdpSocket, payload: Uint8Array): void {
    const name = encodeSockaddr(peer.family, this.#socket.local)
    if (sendDatagram(peer, payload, name) !== 0) throw new Error('a peer cannot send')
  }

  /** Offset of the name of a peer's socket, as the kernel would write it. It is valid until the next call. */
  nameOf(peer: UdpSocket): number {
    this.memory.u8.set(encodeSockaddr(this.#socket.family, peer.local), this.#name)
    return this.#name
  }

  /** Takes the frames out of the mailbox for control frames, like main. Returns the peer's row of each. */
  takeControl(): number[] {
    const rows: number[] = []
    this.control.take(100, (row) => rows.push(row))
    return rows
  }

  count(name: CounterName): number {
    return this.#counters.reduce((sum, block) => sum + block[C[name]], 0)
  }

  countOf(row: number, name: PeerCounterName): number {
    return this.#peerCounters.reduce((sum, block) => sum + block[row * PEER_STRIDE + P[name]], 0)
  }
}

/** What has come to a socket. */
export function datagrams(fd: number): Buffer[] {
  const all: Buffer[] = []
  for (const buffer = Buffer.alloc(65_536); ; ) {
    const bytes = recv(fd, buffer, buffer.length, MSG_DONTWAIT)
    if (bytes < 0) return all
    all.push(Buffer.from(buffer.subarray(0, bytes)))
  }
}
