import { setTimeout as sleep } from 'node:timers/promises'
import { UserError } from '../../errors.js'
import type { NativeMemory } from '../../linux/memory.js'
import { Epoch } from '../../memory/epoch.js'
import { Fdb } from '../../memory/fdb.js'
import { KeypairTable } from '../../memory/keypair-table.js'
import { ControlQueue } from '../../memory/mailbox.js'
import { PathLimits } from '../../memory/path-limits.js'
import { PeerTable } from '../../memory/peer-table.js'
import { type MemoryPlan, StateWord } from '../../memory/plan.js'
import { Ring } from '../../memory/ring.js'
import { StormLimit } from '../../memory/storm-limit.js'

/** How long the workers are waited for before they are rung for again, and what that doubles up to. */
const FIRST_LOOK_MS = 1
const LAST_LOOK_MS = 16

/** Something that passes records on in their order. */
type Passing = Pick<Ring, 'position' | 'hasPassed'>

/**
 * The rows of the peer table, and of all else that has a row for each peer: which are free for one.
 *
 * A row that a peer has left is free only when nothing of that peer is left anywhere, for whoever has the row then
 * would get it: frames that wait for keys, batches in hand, numbers taken, records in the rings and queues, addresses
 * learnt, and what workers want main to know. This takes two rounds of the workers ({@link Epoch}):
 *
 * 1. No more is decided for the row, which the peer table says is nobody's, and what waited for its keys is dropped.
 * 2. All records have left the rings that had been put in by then, and with them what was in hand of them. Such a
 *    record may have had an address learnt, a frame wait for keys, or main told something.
 * 3. Such addresses are forgotten, and a second round drops such frames; nothing is decided by either any more.
 * 4. Main has taken out of its queues what had been put in by then. What is known of the row's peer is forgotten.
 *
 * Nothing of this costs a frame anything.
 */
export class PeerRows {
  readonly #epoch: Epoch
  readonly #rings: readonly Passing[]
  readonly #queues: readonly Passing[]
  readonly #table: PeerTable
  readonly #keypairs: KeypairTable
  readonly #limits: PathLimits
  readonly #storm: StormLimit
  readonly #fdb: Fdb
  readonly #wake: () => void
  readonly #end = new AbortController()
  /** The one that has been free for the longest first. */
  readonly #free: number[]
  readonly #retired: number[] = []
  #settling: Promise<void> | undefined

  /** @param wake wakes both workers */
  constructor(memory: NativeMemory, plan: MemoryPlan, wake: () => void) {
    this.#epoch = new Epoch(memory, plan.state)
    this.#rings = [plan.outbound, plan.inbound].map(({ at, dataBytes }) => new Ring(memory, at, dataBytes))
    this.#queues = [
      new ControlQueue(memory, plan.control, plan.state + StateWord.controlTold * 4),
      new ControlQueue(memory, plan.handshakes, plan.state + StateWord.handshakesTold * 4),
    ]
    this.#table = new PeerTable(memory, plan.peers, plan.peerRows)
    this.#keypairs = new KeypairTable(memory, plan.keypairs, plan.keypairRows, plan.peerRows)
    this.#limits = new PathLimits(memory, plan.pathLimits)
    this.#storm = new StormLimit(memory, plan.storm)
    this.#fdb = new Fdb(memory, plan.fdb, plan.peerRows)
    this.#wake = wake
    this.#free = Array.from({ length: plan.peerRows }, (_, row) => row)
  }

  /** A free row, which is a peer's from now on; undefined while there is none. */
  take(): number | undefined {
    return this.#free.shift()
  }

  /** Its peer has left `row`, and neither the peer table nor the routes nor any pinned address name it any more. */
  retire(row: number): void {
    this.#retired.push(row)
  }

  /**
   * Has the rows that were retired become free; resolves when all have. Undefined if none is retired.
   * @throws UserError when the tunnel stops meanwhile
   */
  settle(): Promise<void> | undefined {
    if (this.#settling === undefined && this.#retired.length > 0) {
      this.#settling = this.#settle()
      // Whoever waits for it hears that the tunnel stops, but nobody may.
      this.#settling.catch((error) => {
        if (error !== this.#end.signal.reason) throw error
      })
    }
    return this.#settling
  }

  /** @throws UserError when the tunnel stops */
  throwIfClosed(): void {
    this.#end.signal.throwIfAborted()
  }

  /** The tunnel stops: nothing is waited for any more. */
  close(): void {
    this.#end.abort(new UserError('the tunnel stops'))
  }

  async #settle(): Promise<void> {
    try {
      while (this.#retired.length > 0) await this.#release(this.#retired.splice(0))
    } finally {
      this.#settling = undefined
    }
  }

  async #release(rows: readonly number[]): Promise<void> {
    await this.#round()
    await this.#passed(this.#rings)
    for (const row of rows) this.#fdb.forget(row)
    await this.#round()
    await this.#passed(this.#queues)
    for (const row of rows) this.#forget(row)
    this.#free.push(...rows)
  }

  #forget(row: number): void {
    this.#table.forget(row)
    this.#keypairs.forget(row)
    this.#limits.forget(row)
    this.#storm.forget(row)
  }

  /** Waits until both workers have come by. One that has something in hand may have to be rung for again. */
  async #round(): Promise<void> {
    const number = this.#epoch.advance()
    this.#wake()
    await this.#until(() => this.#epoch.hasPassed(number), this.#wake)
  }

  async #passed(all: readonly Passing[]): Promise<void> {
    const positions = all.map(({ position }) => position)
    await this.#until(() => all.every((it, index) => it.hasPassed(positions[index])))
  }

  async #until(done: () => boolean, again: () => void = () => {}): Promise<void> {
    const { signal } = this.#end
    for (let lookMs = FIRST_LOOK_MS; !done(); lookMs = Math.min(2 * lookMs, LAST_LOOK_MS)) {
      await sleep(lookMs, undefined, { signal }).catch(() => this.throwIfClosed())
      again()
    }
    this.throwIfClosed()
  }
}
