import { FdbEntries } from './fdb-entries.js'
import { CHANGES, COUNTED, PINNED, PORT, PORT_MASK, SECOND, SEEN, TWIN, VERSION_ONE } from './fdb-layout.js'
import { DEVICE, FLOOD } from './target.js'

/** Results of learning. */
export const LEARN = { known: 0, learnt: 1, moved: 2, damped: 3, full: 4, pinned: 5, ignored: 6 } as const
export type Learning = (typeof LEARN)[keyof typeof LEARN]

/**
 * The forwarding database of a learning switch (IEEE 802.1D, 7.8 and 7.9) in shared memory. For each VLAN it
 * stores the port where a MAC was last seen. A port is a peer, by its row, or {@link DEVICE}. Its layout is that of
 * fdb-layout.ts.
 *
 * Threads. A thread holds the lock while it changes an entry's place or port. Three threads do so: the one that
 * learns from the network, the one that learns from the device, and main, which removes old entries. Readers
 * never wait for the lock. An entry's key is written only while its port is 0 (nobody). Every change of the
 * port raises the version, which is in the same word. A reader takes that word, then the key, then the word
 * again. If the word is the same both times, the key did not change in between, so the port belongs to the key.
 * The version has 18 bits. It could only mislead a reader that sleeps while the entry is given to others a hundred
 * thousand times.
 *
 * A reader that finds the word changed looks again. A reader that finds port 0 takes the address as unknown,
 * which it was at that moment. When an address moves, only that one word changes. A reader finds either the old
 * port or the new one.
 */
export class Fdb extends FdbEntries {
  /**
   * The port of this address, {@link FLOOD} if it is unknown.
   * @param high the MAC's first two bytes, and the VLAN above them (bits 16 to 27)
   * @param low its last four
   */
  find(high: number, low: number): number {
    let port = this.portIn(this.bucket(0, high, low), high, low)
    if (port === FLOOD) port = this.portIn(this.bucket(2, high, low), high, low)
    return port === FLOOD ? this.#untaggedPin(high, low) : port
  }

  /** Learns that a frame from this address came from `port`. */
  learn(high: number, low: number, port: number): Learning {
    if ((high & 0x0100) !== 0 || ((high & 0xffff) | low) === 0) return LEARN.ignored
    const i32 = this.i32
    const entry = this.entryOf(high, low)
    if (entry >= 0 && this.portOf(Atomics.load(i32, entry + PORT)) === port) {
      const now = Atomics.load(i32, this.header + SECOND)
      const seen = Atomics.load(i32, entry + SEEN)
      // Compare-and-exchange, because the entry may belong to another address by now. That address keeps its
      // own second.
      if (seen !== now && seen !== PINNED) Atomics.compareExchange(i32, entry + SEEN, seen, now)
      return LEARN.known
    }
    if (entry < 0 && !this.hasRoom(port)) {
      const pinned = this.#untaggedPin(high, low)
      const learning = pinned !== FLOOD && pinned !== port ? this.#refuse(pinned, port) : LEARN.full
      Atomics.add(i32, this.header + COUNTED + learning, 1)
      return learning
    }
    this.lock()
    const learning = this.#place(high, low, port)
    this.unlock()
    Atomics.add(i32, this.header + COUNTED + learning, 1)
    return learning
  }

  /**
   * While this number stays the same, {@link find} gives the same results. In that time, learning something again
   * changes only counts. The number is raised after each change, and at least once a second.
   */
  get changes(): number {
    return Atomics.load(this.i32, this.header + CHANGES)
  }

  /**
   * The pinned port of a tagged frame's address, because a pin holds for every VLAN. {@link FLOOD} if there is
   * none.
   */
  #untaggedPin(high: number, low: number): number {
    if (high <= 0xffff) return FLOOD
    const untagged = high & 0xffff
    const entry = this.entryOf(untagged, low)
    if (entry < 0 || Atomics.load(this.i32, entry + SEEN) !== PINNED) return FLOOD
    return this.find(untagged, low)
  }

  /** Under the lock: puts an address at a port, in its own entry or in a new one, unless a rule forbids it. */
  #place(high: number, low: number, port: number): Learning {
    const i32 = this.i32
    const now = i32[this.header + SECOND]
    const entry = this.entryOf(high, low)
    if (entry < 0) {
      const pinned = this.#untaggedPin(high, low)
      if (pinned !== FLOOD) return pinned === port ? LEARN.known : this.#refuse(pinned, port)
      const free = this.free(high, low)
      if (free < 0) return LEARN.full
      this.write(free, high, low, port, now)
      return LEARN.learnt
    }
    const word = i32[entry + PORT]
    if (i32[entry + SEEN] === PINNED) return this.#refuse(this.portOf(word), port)
    if (this.portOf(word) === port) return LEARN.known
    if (!this.hasRoom(port)) {
      // The address has left its old port. Its frames are better flooded than sent there.
      this.remove(entry)
      return LEARN.full
    }
    if (!this.mayMove(entry, now)) return LEARN.damped
    this.lost(word & PORT_MASK)
    this.gained(port - FLOOD)
    Atomics.store(i32, entry + SEEN, now)
    Atomics.store(i32, entry + PORT, ((word + VERSION_ONE) & ~PORT_MASK) | (port - FLOOD))
    return LEARN.moved
  }

  /** An address that is pinned to the port `pinned` came from another one. */
  #refuse(pinned: number, port: number): Learning {
    if (pinned === DEVICE) Atomics.store(this.i32, this.header + TWIN, port + 1)
    return LEARN.pinned
  }
}
