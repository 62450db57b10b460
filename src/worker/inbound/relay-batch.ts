import type { Offloads } from '../../memory/offloads.js'
import type { PeerTable } from '../../memory/peer-table.js'
import { RELAY_HEADER_BYTES } from '../../wire/relay.js'
import { Delivery } from '../outbound/delivery.js'
import type { PathPolicy } from '../outbound/path-policy.js'
import { SendBatch } from '../outbound/send-batch.js'
import type { SenderOptions } from '../outbound/sender.js'
import type { Scratch } from '../scratch.js'
import type { RelayOutlet } from './passing-on.js'

/**
 * Relayed messages for one sendmmsg(2). They are sent from where they were received, each behind its new header. It
 * never waits: what the socket does not accept now is dropped.
 */
export class RelayBatch implements RelayOutlet {
  readonly #batch: SendBatch
  readonly #delivery: Delivery
  readonly #peers: PeerTable
  readonly #offloads: Offloads
  readonly #udpSegment: number
  readonly #pathPolicy: PathPolicy
  readonly #dsMask: number
  /** Of the message added last. */
  #bytes = 0

  constructor(options: SenderOptions, scratch: Scratch, counters: Float64Array) {
    this.#batch = new SendBatch(scratch, options.sockaddrBytes)
    this.#delivery = new Delivery(this.#batch, options, counters)
    this.#peers = options.peers
    this.#offloads = options.offloads
    this.#udpSegment = options.offloads.wordOf('udp_segment')
    this.#pathPolicy = options.pathPolicy
    this.#dsMask = options.dsMask
  }

  header(row: number): number {
    if (this.#batch.full) this.flush()
    this.#batch.segments = this.#offloads.isSet(this.#udpSegment) && this.#pathPolicy.takesRuns(row)
    return this.#batch.headerSlot
  }

  add(row: number, message: number, bytes: number, dsField: number): void {
    // A router drops a run as a whole if it is too long for the next link. A short probe must not go with a long one.
    if (bytes !== this.#bytes) this.#batch.close()
    this.#bytes = bytes
    const name = this.#peers.address(row)
    this.#batch.addSegment(RELAY_HEADER_BYTES, message, bytes, row, name, dsField & this.#dsMask)
  }

  flush(): void {
    if (this.#batch.count > 0 && !this.#delivery.send(false)) this.#delivery.giveUp()
  }
}
