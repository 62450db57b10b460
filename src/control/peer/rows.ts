import { FdbUpkeep } from '../../memory/fdb-upkeep.js'
import type { Ring } from '../../memory/ring.js'
import { StormLimit } from '../../memory/storm-limit.js'
import { FreeRows } from '../free-rows.js'
import { Rounds, type RoundsPlatform } from '../rounds.js'
import type { Tables } from '../tables.js'

/** A row is not used again before so many others are free. */
const LEAST_FREE = 16

type RowTables = Pick<Tables, 'rings' | 'control' | 'handshakes' | 'peers' | 'keypairs' | 'limits'>

/** Something that passes records on in order. */
type Passing = Pick<Ring, 'position' | 'hasPassed'>

/**
 * Keeps track of which rows of the peer table are free. Every other table with a row for each peer uses the
 * same rows.
 *
 * When a peer has left a row, nothing of it may remain anywhere. Otherwise the next peer of the row would get
 * it. Such things are: frames that wait for keys, batches in hand, numbers taken, records in the rings and
 * queues, learnt addresses, and what workers want to tell main. Clearing them takes two rounds of the workers
 * ({@link Rounds}):
 *
 * 1. The peer table says that the row has no peer, so the workers decide nothing more for it. They drop the
 *    frames that waited for its keys.
 * 2. All records that were in the rings by then leave the rings. With them goes what was in hand of them. Such
 *    a record may still have taught the FDB an address, made a frame wait for keys, or told main something.
 * 3. Main forgets these addresses, and a second round drops these frames. After that, neither decides anything
 *    any more.
 * 4. Main takes out of its queues what was in them by then. It then forgets what is known of the row's peer.
 *
 * Nothing of this costs time for a frame.
 */
export class PeerRows {
  readonly #rounds: Rounds
  readonly #rings: readonly Passing[]
  readonly #queues: readonly Passing[]
  readonly #tables: RowTables
  readonly #storm: StormLimit
  readonly #fdb: FdbUpkeep
  readonly #free: FreeRows
  readonly #retired: number[] = []
  #settling: Promise<void> | undefined

  constructor(platform: RoundsPlatform, tables: RowTables) {
    const { memory, plan } = platform
    this.#rounds = new Rounds(platform)
    this.#tables = tables
    this.#rings = [tables.rings.outbound, tables.rings.inbound]
    this.#queues = [tables.control, tables.handshakes]
    this.#storm = new StormLimit(memory, plan.storm)
    this.#fdb = new FdbUpkeep(memory, plan.fdb, plan.peerRows)
    this.#free = new FreeRows(plan.peerRows, LEAST_FREE)
  }

  /** Takes a free row for a peer; undefined if there is none. */
  take(): number | undefined {
    return this.#free.take()
  }

  /**
   * The peer of `row` is gone. The peer table, the routes and the pinned addresses must not name the row any
   * more.
   */
  retire(row: number): void {
    this.#retired.push(row)
  }

  /**
   * Makes the retired rows free. Resolves when all of them are. Undefined if no row is retired.
   * @throws UserError when the tunnel stops meanwhile
   */
  settle(): Promise<void> | undefined {
    if (this.#settling === undefined && this.#retired.length > 0) {
      this.#settling = this.#settle()
      // If somebody waits for this promise, they get the error when the tunnel stops. But perhaps nobody
      // waits.
      this.#settling.catch((error) => {
        if (error !== this.#rounds.reason) throw error
      })
    }
    return this.#settling
  }

  /** @throws UserError when the tunnel stops */
  throwIfClosed(): void {
    this.#rounds.throwIfClosed()
  }

  /** The tunnel stops. Nothing waits any more. */
  close(): void {
    this.#rounds.close()
  }

  async #settle(): Promise<void> {
    try {
      while (this.#retired.length > 0) await this.#release(this.#retired.splice(0))
    } finally {
      this.#settling = undefined
    }
  }

  async #release(rows: readonly number[]): Promise<void> {
    await this.#rounds.round()
    await this.#passed(this.#rings)
    this.#fdb.forgetAll(rows)
    await this.#rounds.round()
    await this.#passed(this.#queues)
    for (const row of rows) this.#forget(row)
    this.#free.give(rows)
  }

  #forget(row: number): void {
    this.#tables.peers.forget(row)
    this.#tables.keypairs.forget(row)
    this.#tables.limits.forget(row)
    this.#storm.forget(row)
  }

  async #passed(all: readonly Passing[]): Promise<void> {
    const positions = all.map(({ position }) => position)
    await this.#rounds.until(() => all.every((it, index) => it.hasPassed(positions[index])))
  }
}
