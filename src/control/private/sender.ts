import type { Encap } from '../../encap/encap.js'
import { type RelayWay, relayIn } from '../../memory/name.js'
import type { RelayTable } from '../../memory/relay-table.js'
import { RELAY_NAME_BYTES, TO_INTRODUCER } from '../../wire/relay.js'
import { MESSAGE } from '../../wire/wireguard.js'
import type { Roster } from '../peer/roster.js'
import type { DataSocket } from '../platform.js'
import type { SharedKeypairs } from './keypairs.js'

export interface PrivateSenderContext {
  readonly encap: Encap
  readonly keypairs: Pick<SharedKeypairs, 'seal'>
  readonly relays: RelayTable
  readonly roster: Roster
  readonly socket: Pick<DataSocket, 'send'>
}

/** Seals main's own messages, and sends them to the peer or to the introducer that relays them. */
export class PrivateSender {
  readonly #context: PrivateSenderContext

  constructor(context: PrivateSenderContext) {
    this.#context = context
  }

  /**
   * Seals a frame of main's own for a peer; undefined if there are no keys. The padding is as short as
   * possible, because the frame's length may be its purpose.
   */
  seal(row: number, frame: Uint8Array): Buffer | undefined {
    const { encap, keypairs } = this.#context
    const room = Buffer.alloc(frame.length + 32)
    room.set(frame)
    const bytes = encap.pad(room, 0, frame.length, 0)
    return keypairs.seal(row, room.subarray(0, bytes))
  }

  /** Sends an empty message, if there are keys and the peer is somewhere. */
  sendKeepalive(row: number): void {
    const { keypairs, roster } = this.#context
    const to = roster.at(row)?.datagramName
    const message = to && keypairs.seal(row, new Uint8Array(0))
    if (message !== undefined) this.send(message, to as Uint8Array)
  }

  /**
   * Sends a message without a guarantee. What is lost is sent again later.
   * @param name as in memory/name.ts
   * @returns 0, or the errno
   */
  send(message: Uint8Array, name: Uint8Array): number {
    const relay = relayIn(name)
    return relay === undefined ? this.#context.socket.send(message, name) : this.#sendRelayed(message, relay)
  }

  /** A message that cannot be relayed counts as lost on the way. */
  #sendRelayed(message: Uint8Array, { via, far }: RelayWay): number {
    const { keypairs, relays, roster, socket } = this.#context
    const to = roster.at(via)?.datagramName
    const plain = new Uint8Array(RELAY_NAME_BYTES)
    const view = new DataView(plain.buffer)
    view.setInt32(0, relays.low(far), true)
    view.setInt32(4, relays.high(far) | TO_INTRODUCER, true)
    const header = keypairs.seal(via, plain, MESSAGE.relay)
    if (to === undefined || header === undefined || relayIn(to) !== undefined) return 0
    return socket.send(Buffer.concat([header, message]), to)
  }
}
