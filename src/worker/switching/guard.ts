import type { NativeMemory } from '../../linux/memory.js'
import type { AccessRules } from '../../memory/access-rules.js'
import { type Flows, HERE, KEY_WORDS, THERE } from '../../memory/flows.js'
import { ACCESS_DENIED, FLOOD } from '../../memory/target.js'
import { FlowKey, KIND } from './flow-key.js'
import type { Forwarding } from './forwarding.js'

/** Enough for a row of the peer table, which has MAX_PEERS (config/schema.ts). */
const ROW_BITS = 12

/**
 * Lets through only what the access rules allow, around a switch or a router.
 * - In mode tap they say only which peers may send. The switch learns nothing from the others.
 * - In mode tun they are about packets. What belongs to a flow that this side has begun may always come, and so may the
 *   answers to what a peer sends to another one through this host.
 *
 * Of each direction the last flow is remembered with the answer. So a frame of the same flow costs a comparison of keys.
 */
export class Guard implements Forwarding {
  readonly #inner: Forwarding
  readonly #rules: AccessRules
  readonly #flows: Flows
  readonly #byPacket: boolean
  readonly #key: FlowKey
  readonly #lastOut = new Int32Array(KEY_WORDS)
  readonly #lastIn = new Int32Array(KEY_WORDS)
  /** The peer of the last allowed flow; below 0 if there is none. */
  #lastRow = FLOOD
  #hasLastOut = false
  #changes = -1
  #second = -1
  #isOff = true

  /** @param byPacket whether the rules are about packets (mode tun) */
  constructor(
    { view }: NativeMemory,
    options: {
      readonly inner: Forwarding
      readonly rules: AccessRules
      readonly flows: Flows
      readonly byPacket: boolean
    },
  ) {
    this.#inner = options.inner
    this.#rules = options.rules
    this.#flows = options.flows
    this.#byPacket = options.byPacket
    this.#key = new FlowKey(view)
  }

  begin(): void {
    this.#inner.begin()
    const { changes, second } = this.#rules
    if (changes === this.#changes && second === this.#second) return
    // Once a second, so that flows in use are not forgotten.
    this.#changes = changes
    this.#second = second
    this.#isOff = this.#rules.isOff
    this.#lastRow = FLOOD
    this.#hasLastOut = false
  }

  fromDevice(frame: number, bytes: number, frames: number): number {
    const target = this.#inner.fromDevice(frame, bytes, frames)
    if (target >= 0 && !this.#isOff && this.#byPacket) this.#noteOutward(frame, bytes, HERE, target)
    return target
  }

  fromPeer(frame: number, bytes: number, row: number): number {
    if (this.#isOff) return this.#inner.fromPeer(frame, bytes, row)
    if (!this.#byPacket)
      return this.#allowsPeer(row) ? this.#inner.fromPeer(frame, bytes, row) : ACCESS_DENIED
    const target = this.#inner.fromPeer(frame, bytes, row)
    if (target < FLOOD) return target
    if (!this.#allowsPacket(frame, bytes, row)) return ACCESS_DENIED
    if (target >= 0) this.#noteOutward(frame, bytes, THERE, target)
    return target
  }

  /**
   * Remembers the flow of a packet that goes to a peer, so that its answers may come.
   * @param begun who has sent it
   * @param row the peer that it goes to
   */
  #noteOutward(packet: number, bytes: number, begun: typeof HERE | typeof THERE, row: number): void {
    const key = this.#key
    if (key.read(packet, bytes, true) !== KIND.flow) return
    if (this.#hasLastOut && isSame(key.words, this.#lastOut)) return
    const flows = this.#flows
    const found = flows.find(key.words, this.#second, key.timeoutS)
    if (found >= 0)
      flows.touch(found, this.#second, begun === HERE ? flows.allowedBy(found) : this.#stampOf(row))
    else if (key.begins)
      flows.note(
        key.words,
        begun === HERE ? this.#whoHasBegun(key, row) : begun,
        this.#second,
        this.#stampOf(row),
      )
    copy(this.#lastOut, key.words)
    this.#hasLastOut = true
  }

  /**
   * The device has sent a packet of a flow that is not known. A connection in its middle counts as the peer's if the peer
   * may begin it. Otherwise it would outlast a change of the rules that ends it.
   */
  #whoHasBegun(key: FlowKey, row: number): typeof HERE | typeof THERE {
    return key.isMidStream && this.#rules.allows(row, key.toAnswer()) ? THERE : HERE
  }

  #allowsPeer(row: number): boolean {
    if (row === this.#lastRow) return true
    const isAllowed = this.#rules.allowsSome(row)
    if (isAllowed) this.#lastRow = row
    return isAllowed
  }

  #allowsPacket(packet: number, bytes: number, row: number): boolean {
    const key = this.#key
    const kind = key.read(packet, bytes, false)
    if (kind === KIND.single) return this.#rules.allows(row, key)
    const isLikeLast = kind === KIND.flow && row === this.#lastRow && isSame(key.words, this.#lastIn)
    if (!isLikeLast) {
      if (!this.#allowsFlow(key, row)) return false
      if (kind === KIND.flow) {
        copy(this.#lastIn, key.words)
        this.#lastRow = row
      }
    }
    if (key.isFirstFragment) {
      key.toFragments()
      this.#flows.note(key.words, THERE, this.#second, this.#stampOf(row))
    }
    return true
  }

  #allowsFlow(key: FlowKey, row: number): boolean {
    const flows = this.#flows
    const stamp = this.#stampOf(row)
    const found = flows.find(key.words, this.#second, key.timeoutS)
    if (found >= 0 && (flows.begun(found) === HERE || flows.allowedBy(found) === stamp)) {
      if (key.kind === KIND.flow) flows.touch(found, this.#second, stamp)
      return true
    }
    if (!this.#rules.allows(row, key)) return false
    if (key.kind !== KIND.flow) return true
    if (found >= 0) flows.touch(found, this.#second, stamp)
    else flows.note(key.words, THERE, this.#second, stamp)
    return true
  }

  /** Of an allowed flow of a peer: the rules of which time have allowed it, and to whom. */
  #stampOf(row: number): number {
    return (this.#changes << ROW_BITS) | row
  }
}

function isSame(a: Int32Array, b: Int32Array): boolean {
  for (let word = 0; word < KEY_WORDS; word++) if (a[word] !== b[word]) return false
  return true
}

function copy(to: Int32Array, from: Int32Array): void {
  for (let word = 0; word < KEY_WORDS; word++) to[word] = from[word]
}
