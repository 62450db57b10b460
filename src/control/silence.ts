/** What a look-up again is decided by, each a count since the start or a time in milliseconds. */
export interface Traffic {
  readonly nowMs: number
  readonly sentFrames: number
  readonly receivedFrames: number
}

const SILENCE_MS = 30_000

/** Tells when a peer has been silent for so long, while frames went out, that it may have moved. */
export class SilenceWatch {
  #heardMs: number
  #received: number
  #sent: number

  constructor(start: Traffic) {
    this.#heardMs = start.nowMs
    this.#received = start.receivedFrames
    this.#sent = start.sentFrames
  }

  /** To be called now and then; true at the most once in 30 s. */
  isTime(now: Traffic): boolean {
    if (now.receivedFrames !== this.#received) {
      this.#received = now.receivedFrames
      this.#sent = now.sentFrames
      this.#heardMs = now.nowMs
      return false
    }
    if (now.nowMs - this.#heardMs < SILENCE_MS || now.sentFrames === this.#sent) return false
    this.#sent = now.sentFrames
    this.#heardMs = now.nowMs
    return true
  }
}
