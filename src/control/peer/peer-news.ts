import type { Logger } from 'pino'
import type { Clock } from '../clock.js'
import { Seldom } from '../seldom.js'
import type { PeerState } from './liveness.js'

/** The least time between two log lines about the address that a peer speaks to. */
const SAY_MS = 10_000

/** What the log says of one peer: whether it is heard, and which address of this host it speaks to. */
export class PeerNews {
  readonly #log: Logger
  readonly #clock: Pick<Clock, 'nowMs'>
  /** Its name may change. */
  readonly #peer: { readonly name: string }
  readonly #sources = new Seldom(SAY_MS)
  /** What was logged last of the address that it is answered from. */
  #from: string | undefined

  constructor(
    { log, clock }: { readonly log: Logger; readonly clock: Pick<Clock, 'nowMs'> },
    peer: { readonly name: string },
  ) {
    this.#log = log
    this.#clock = clock
    this.#peer = peer
  }

  /** Its state was `before`, and is another one now. */
  state(state: PeerState, before: PeerState): void {
    const { name } = this.#peer
    const fields = { peer: name, state, before }
    if (state === 'down') this.#log.warn(fields, `${name} is down: it answers no more`)
    else if (state === 'silent') this.#log.info(fields, `${name} is silent`)
    else this.#log.info(fields, `${name} ${before === 'new' ? 'is heard' : 'is heard again'}`)
  }

  /** It is answered from this address, undefined if the kernel chooses. It is not logged too often. */
  source(from: string | undefined): void {
    if (from === undefined || from === this.#from) return
    this.#from = from
    if (this.#sources.happened(this.#clock.nowMs()) === undefined) return
    const { name } = this.#peer
    this.#log.info(
      { peer: name, from },
      `${name} speaks to ${from}, an address of this host, and is answered from there`,
    )
  }
}
