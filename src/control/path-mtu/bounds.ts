import type { IpFamily } from '../../wire/ip.js'
import { commonBetween, floorBytes, spreadBetween } from './sizes.js'

/** How many sizes between two known ones are tried at once. */
const FAN = 20

/** What is known of the sizes that pass, between the least size that we believe and the egress interface's MTU. */
export class Bounds {
  readonly #family: IpFamily
  #ceiling: number
  /** The greatest size that is known to pass; the floor less one if there is none. */
  #lower: number
  /** The least size that is known not to pass; the ceiling plus one if there is none. */
  #upper: number

  constructor(family: IpFamily, ceilingBytes: number) {
    this.#family = family
    this.#ceiling = ceilingBytes
    this.#lower = this.floor - 1
    this.#upper = ceilingBytes + 1
  }

  /** The egress interface's MTU. */
  get ceiling(): number {
    return this.#ceiling
  }

  /** A smaller ceiling is a fact: nothing longer passes. Nothing is known of what is below a greater one. */
  set ceiling(bytes: number) {
    this.#ceiling = bytes
    this.#upper = bytes + 1
    this.#lower = Math.min(this.#lower, bytes)
  }

  /**
   * The least size that we believe. If the interface's MTU is less, that is a fact, and we probe what it takes.
   */
  get floor(): number {
    return Math.min(floorBytes(this.#family), this.#ceiling)
  }

  /** The greatest size that is known to pass, or the floor if there is none. */
  get passing(): number {
    return Math.max(this.#lower, this.floor)
  }

  /** Whether any size is known to pass. */
  get anyPasses(): boolean {
    return this.#lower >= this.floor
  }

  /** Whether all that the interface takes passes. */
  get allPasses(): boolean {
    return this.#lower >= this.#ceiling
  }

  /** Whether packets of `bytes` bytes are known to pass, because such or longer ones did. */
  passes(bytes: number): boolean {
    return bytes <= this.#lower
  }

  /** Whether no size is left between what passes and what does not. */
  get met(): boolean {
    return this.#upper - this.#lower <= 1
  }

  /** A packet of `bytes` bytes has passed. If this was thought to be too big, nothing is thought to be any more. */
  passed(bytes: number): void {
    if (bytes > this.#lower) this.#lower = bytes
    if (bytes >= this.#upper) this.#upper = this.#ceiling + 1
  }

  /** It passed before, and nothing says that it does not now. */
  assumePasses(bytes: number): void {
    this.#lower = Math.max(this.#lower, bytes)
  }

  /** None of `sizes` has passed. */
  failed(sizes: readonly number[]): void {
    this.#upper = Math.min(this.#upper, ...sizes)
  }

  /** What passed before may not pass now. */
  forgetPassed(): void {
    this.#lower = this.floor - 1
  }

  /** What did not pass before may pass now. */
  forgetFailed(): void {
    this.#upper = this.#ceiling + 1
  }

  /** The sizes to begin a search with, if nothing is known yet. `estimateBytes` is one more, if it can be right. */
  firstSizes(estimateBytes: number): number[] {
    const sizes = new Set([...commonBetween(this.#lower, this.#upper), this.#ceiling])
    if (estimateBytes > this.floor && estimateBytes < this.#upper) sizes.add(estimateBytes)
    return [...sizes]
  }

  /** The sizes to go on with: the common ones between the bounds, or else some that are spread evenly. */
  sizesBetween(): number[] {
    const common = commonBetween(this.#lower, this.#upper)
    return common.length > 0 ? common : spreadBetween(this.#lower, this.#upper, FAN)
  }

  /** The sizes that tell whether more passes than is known. */
  sizesAbove(): number[] {
    return [...new Set([this.#lower + 1, this.#ceiling])]
  }

  /** The common sizes that are less than `bytes`. */
  sizesBelow(bytes: number): number[] {
    return commonBetween(this.floor - 1, bytes)
  }

  /** Those of `sizes` of which is not known that they pass. */
  pending(sizes: readonly number[]): number[] {
    return sizes.filter((size) => size > this.#lower)
  }
}
