/** The way to a peer at one look, and the MTUs that hang on it. */
export interface WayLook {
  /** The interface by which datagrams leave. Undefined if there is none, or if the kernel says that it is a loop. */
  readonly interface: string | undefined
  readonly gateway: string | undefined
  /** The MTU of that interface. */
  readonly mtuBytes: number
  /** What the path is taken to carry. */
  readonly pathBytes: number
  /** The MTU of the tunnel's own device. */
  readonly deviceBytes: number
}

/** What held before the MTUs began to fall. */
export type GoodWay = Pick<WayLook, 'mtuBytes' | 'pathBytes'>

/** The interface repeats a fall of the device within this time, if its own datagrams go through the device. */
const ECHO_MS = 2_000

/** So many echoes in a row are no chance. */
const ECHOES = 2

/** Answers to what was sent before the loop may still come for so long. */
const LATE_MS = 1_000

/**
 * Notices that the way to a peer leads back into this tunnel, where the kernel cannot say so: through another
 * tunnel, whose own datagrams go through this one. Each of the two takes the other's MTU less its overhead. So
 * whenever this device's MTU falls, that of the interface falls by the same number of bytes soon after. This goes
 * on down to the least MTU. Nobody else lowers an MTU so.
 *
 * The loop is over when the way is by another interface or router, when the peer answers, or when the MTU of the
 * interface changes by itself.
 */
export class LoopWatch {
  #last: WayLook | undefined
  #lastMs = 0
  /** The last fall of the device's MTU that the interface has not repeated. */
  #fall: { readonly bytes: number; readonly atMs: number } | undefined
  #echoes = 0
  #good: GoodWay | undefined
  /** The way that is a loop, since when, and when this device's MTU last changed. */
  #loop: { readonly way: WayLook; readonly sinceMs: number; changedMs: number } | undefined

  /** What held before the loop; undefined if the way is none. */
  get good(): GoodWay | undefined {
    return this.#loop === undefined ? undefined : this.#good
  }

  /** Must be called with each look at the way. Returns {@link good}. */
  look(nowMs: number, way: WayLook): GoodWay | undefined {
    const last = this.#last
    if (this.#loop !== undefined) this.#endIfOver(nowMs, way, last)
    else if (last !== undefined) this.#compare(nowMs, way, last)
    this.#last = way
    this.#lastMs = nowMs
    if (this.#echoes >= ECHOES && this.#loop === undefined)
      this.#loop = { way, sinceMs: nowMs, changedMs: nowMs }
    return this.good
  }

  /** The peer has answered something, so the way to it is no loop. */
  answered(nowMs: number): void {
    if (this.#loop !== undefined && nowMs - this.#loop.sinceMs >= LATE_MS) this.#end()
  }

  #compare(nowMs: number, way: WayLook, last: WayLook): void {
    const deviceFall = last.deviceBytes - way.deviceBytes
    // The device follows right after a look.
    if (deviceFall !== 0) this.#fall = deviceFall > 0 ? { bytes: deviceFall, atMs: this.#lastMs } : undefined
    const same = isSame(way, last)
    if (same && way.mtuBytes === last.mtuBytes) return
    const fall = this.#fall
    this.#fall = undefined
    const isEcho =
      same &&
      fall !== undefined &&
      nowMs - fall.atMs <= ECHO_MS &&
      last.mtuBytes - way.mtuBytes === fall.bytes
    this.#echoes = isEcho ? this.#echoes + 1 : 0
    if (!isEcho) this.#good = last
  }

  #endIfOver(nowMs: number, way: WayLook, last: WayLook | undefined): void {
    const loop = this.#loop
    if (loop === undefined || last === undefined) return
    if (!isSame(way, loop.way)) {
      this.#end()
      return
    }
    if (way.deviceBytes !== last.deviceBytes) loop.changedMs = nowMs
    if (way.mtuBytes !== last.mtuBytes && nowMs - loop.changedMs > ECHO_MS) this.#end()
  }

  #end(): void {
    this.#loop = undefined
    this.#echoes = 0
    this.#fall = undefined
  }
}

function isSame(a: WayLook, b: WayLook): boolean {
  return a.interface === b.interface && a.gateway === b.gateway
}
