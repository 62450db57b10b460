import type { NativeMemory } from '../linux/memory.js'
import { StateWord } from './plan.js'

/**
 * Single words that all threads read. Main writes them, and the workers read them; only {@link fragmenting} is written
 * by the workers. The words of the mailboxes (mailbox.ts), the epoch (epoch.ts) and the pulse (pulse.ts) lie beside them.
 */
export class StateWords {
  readonly #words: Int32Array

  /** @param state offset of the state words */
  constructor(memory: NativeMemory, state: number) {
    this.#words = memory.i32.subarray(state >>> 2)
  }

  /** Whether the workers must end. */
  get stopped(): boolean {
    return Atomics.load(this.#words, StateWord.stop) !== 0
  }

  stop(): void {
    Atomics.store(this.#words, StateWord.stop, 1)
  }

  /** The row of the peer that unknown senders are taken for; -1 if they are dropped. */
  get acceptAny(): number {
    return Atomics.load(this.#words, StateWord.acceptAny) - 1
  }

  set acceptAny(row: number) {
    Atomics.store(this.#words, StateWord.acceptAny, row + 1)
  }

  /** The longest frame or packet that is accepted from the network. It changes with the underlay's MTU. */
  get maxFrameBytes(): number {
    return Atomics.load(this.#words, StateWord.maxFrameBytes)
  }

  set maxFrameBytes(bytes: number) {
    Atomics.store(this.#words, StateWord.maxFrameBytes, bytes)
  }

  get deviceMtuBytes(): number {
    return Atomics.load(this.#words, StateWord.deviceMtuBytes)
  }

  set deviceMtuBytes(bytes: number) {
    Atomics.store(this.#words, StateWord.deviceMtuBytes, bytes)
  }

  /** Frames of a private tunnel are not padded beyond this length. */
  get paddingLimitBytes(): number {
    return Atomics.load(this.#words, StateWord.paddingLimit)
  }

  set paddingLimitBytes(bytes: number) {
    Atomics.store(this.#words, StateWord.paddingLimit, bytes)
  }

  /** The longest frame that the MSS of TCP connections may allow; 0 for no limit. */
  get clampFrameBytes(): number {
    return Atomics.load(this.#words, StateWord.clampFrameBytes)
  }

  set clampFrameBytes(bytes: number) {
    Atomics.store(this.#words, StateWord.clampFrameBytes, bytes)
  }

  /** How much is relayed for one member, in bytes in a millisecond; 0 for nothing. */
  get relayLimit(): number {
    return Atomics.load(this.#words, StateWord.relayLimit)
  }

  set relayLimit(bytesPerMs: number) {
    Atomics.store(this.#words, StateWord.relayLimit, bytesPerMs)
  }

  /**
   * Changes whenever a worker begins or stops to send datagrams that may be fragmented. It is odd while a worker does
   * so (worker/outbound/path-policy.ts).
   */
  get fragmenting(): number {
    return Atomics.load(this.#words, StateWord.fragmenting)
  }

  /** Worker: it begins to do so, or has stopped. */
  fragmentingChanged(): void {
    Atomics.add(this.#words, StateWord.fragmenting, 1)
  }
}
