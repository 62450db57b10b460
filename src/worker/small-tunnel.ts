import { randomBytes, randomInt } from 'node:crypto'
import { encapFor } from '../encap/encap.js'
import { AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK } from '../linux/constants.js'
import { Doorbell } from '../linux/eventfd.js'
import { close, must, read, socketpair, write } from '../linux/libc.js'
import type { NativeMemory } from '../linux/memory.js'
import { LOCAL_BYTES, SOCKADDR_BYTES } from '../linux/sockaddr.js'
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
import { datagramsIn } from './inbound/receive-vector.js'
import type { Loop } from './loop.js'
import type { LoopTask, WorkerRole, WorkerTask } from './task.js'
import {
  burstsFor,
  DESTINATION_LOW,
  longFramesFor,
  MAC_HIGH,
  SEGMENT_BYTES,
  SEGMENTS_BYTES,
} from './warm-up-frames.js'

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

/** Both loops of a tunnel in one thread, and the frames that are put in at its device. */
export class SmallTunnel {
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
    this.#long = longFramesFor(encap)
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
