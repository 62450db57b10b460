import { CRYPTO_SCRATCH_BYTES, type Crypto } from '../linux/ciphers.js'
import { findCrypto } from '../linux/crypto.js'
import type { ByteOperations } from '../offload/bytes.js'
import { ControlQueue } from './control-queue.js'
import { KeypairTable } from './keypairs.js'
import { Keyring } from './keyring.js'
import { OPENER_SCRATCH_BYTES, Opener } from './opener.js'
import type { PathLimits } from './path-limits.js'
import type { PeerTable } from './peers.js'
import { PLACES_BYTES } from './places.js'
import { StateWord } from './plan.js'
import type { Scratch } from './scratch.js'
import { Sealer } from './sealer.js'
import type { Sealing } from './sender.js'
import { WaitingRoom } from './waiting-room.js'
import type { LoopTask } from './worker.js'

let crypto: Crypto | undefined

/** One for a thread: what the warm-up has V8 compile is then what the tunnel calls, the very same functions. */
function sharedCrypto(): Crypto {
  crypto ??= findCrypto()
  return crypto
}

export interface PrivatePartsOptions {
  readonly task: LoopTask
  readonly mac1Key: Uint8Array
  readonly scratch: Scratch
  readonly peers: PeerTable
  readonly limits: PathLimits
  readonly bytes: ByteOperations
  readonly control: ControlQueue
  /** Wakes main. */
  readonly tellMain: () => void
}

/** What a worker's loop has in a private tunnel beside what it has in any. */
export class PrivateParts {
  readonly #options: PrivatePartsOptions
  readonly #crypto = sharedCrypto()
  readonly #keyrings: Keyring[] = []

  constructor(options: PrivatePartsOptions) {
    this.#options = options
  }

  /** For frames from the device, which may wait for keys. */
  forDevice(): Sealing {
    const { task, bytes } = this.#options
    const { places, keys, waitingRoom } = task.plan[task.role]
    const { sealer } = this.#seal(places, keys)
    return { sealer, waitingRoom: new WaitingRoom(waitingRoom, bytes.copy) }
  }

  /** For frames from other peers. */
  forRelay(): Sealing {
    const { task } = this.#options
    const { relayPlaces, relayKeys } = task.plan[task.role]
    return { sealer: this.#seal(relayPlaces, relayKeys).sealer, waitingRoom: undefined }
  }

  /** To be called when main has rung: keys may have been wiped. */
  sweep(): void {
    for (const keyring of this.#keyrings) keyring.sweep()
  }

  #seal(places: number, keys: number): { keyring: Keyring; sealer: Sealer } {
    const { task, scratch, peers, limits, bytes, control } = this.#options
    const { plan, mode } = task
    const { memory } = scratch
    const tap = mode === 'tap'
    const aead = this.#crypto.aead({
      memory,
      at: places,
      bytes: PLACES_BYTES,
      scratch: scratch.take(CRYPTO_SCRATCH_BYTES),
      keys,
      copy: bytes.copy,
    })
    const table = new KeypairTable(memory, plan.keypairs, plan.keypairRows, plan.peerRows)
    const tellMain = () => {
      if (control.mustTell()) this.#options.tellMain()
    }
    const keyring = new Keyring({ memory, table, aead, peers, tap, tellMain })
    this.#keyrings.push(keyring)
    const sealer = new Sealer({ memory, keyring, limits, bytes, places, state: plan.state, tap })
    return { keyring, sealer }
  }

  makeOpener(counters: Float64Array, peerCounters: Float64Array): Opener {
    const { task, mac1Key, scratch, peers, tellMain } = this.#options
    const { memory } = scratch
    const { plan } = task
    return new Opener({
      memory,
      keyring: this.#keyrings[0],
      peers,
      mac1: this.#crypto.mac(memory, scratch.take(CRYPTO_SCRATCH_BYTES), mac1Key),
      handshakes: new ControlQueue(memory, plan.handshakes, plan.state + StateWord.handshakesTold * 4),
      tellMain,
      scratch: scratch.take(OPENER_SCRATCH_BYTES),
      counters,
      peerCounters,
    })
  }
}
