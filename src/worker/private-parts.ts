import { type Aead, CRYPTO_SCRATCH_BYTES, type Crypto, KEY_BYTES } from '../crypto/ciphers.js'
import { findCrypto } from '../crypto/find-crypto.js'
import type { Encap } from '../encap/encap.js'
import { BootClock } from '../linux/clock.js'
import { C } from '../memory/counters.js'
import { CryptoBatch } from '../memory/crypto-batch.js'
import { CryptoBell } from '../memory/crypto-bell.js'
import type { Drops } from '../memory/drops.js'
import { IdentityKeys } from '../memory/identity-keys.js'
import { KeypairTable } from '../memory/keypair-table.js'
import { Mailbox } from '../memory/mailbox.js'
import { NAME_BYTES } from '../memory/name.js'
import type { PathLimits } from '../memory/path-limits.js'
import type { PeerTable } from '../memory/peer-table.js'
import { StateWord } from '../memory/plan.js'
import { RelayTable } from '../memory/relay-table.js'
import { HOP_SLOTS_BYTES, SEALING_SLOTS_BYTES } from '../memory/slots.js'
import { StateWords } from '../memory/state-words.js'
import type { ByteOperations } from '../offload/bytes.js'
import { COOKIE_REPLY } from '../wire/wireguard.js'
import { CryptoHand } from './crypto/crypto-hand.js'
import { Spread } from './crypto/spread.js'
import { COOKIE_SOCKET_SCRATCH_BYTES, CookieSocket } from './inbound/cookie-socket.js'
import { GATE_SCRATCH_BYTES, Gate } from './inbound/gate.js'
import { MAC_CHECK_SCRATCH_BYTES, MacCheck } from './inbound/mac-check.js'
import { MacKeys } from './inbound/mac-keys.js'
import { Neighbours } from './inbound/neighbours.js'
import { Opener } from './inbound/opener.js'
import { PassingOn, type RelayOutlet } from './inbound/passing-on.js'
import { Relayed } from './inbound/relayed.js'
import { Keyring } from './keyring.js'
import { Sealer } from './outbound/sealer.js'
import type { Sealing } from './outbound/sender.js'
import { WaitingFrames } from './outbound/waiting-frames.js'
import { RelayHeaders } from './relay-headers.js'
import type { Scratch } from './scratch.js'
import type { HandshakeKeys, LoopTask } from './task.js'

let crypto: Crypto | undefined
let clock: BootClock | undefined

/** One instance for each thread. So the tunnel calls the same functions that V8 compiled during the warm-up. */
function sharedCrypto(): Crypto {
  crypto ??= findCrypto()
  return crypto
}

function sharedClock(): BootClock {
  clock ??= new BootClock()
  return clock
}

/** One function for all callers, so that V8 can optimise the call. */
const nowMs = () => performance.now()

interface KeyringParts {
  readonly keyring: Keyring
  readonly aead: Aead
}

export interface PrivatePartsOptions {
  readonly task: LoopTask
  readonly keys: HandshakeKeys
  readonly scratch: Scratch
  readonly peers: PeerTable
  readonly limits: PathLimits
  readonly encap: Encap
  readonly bytes: ByteOperations
  readonly control: Mailbox
  readonly counters: Float64Array
  /** Wakes main. */
  readonly tellMain: () => void
}

/** The parts that a worker's loop has only in a private tunnel. */
export class PrivateParts {
  readonly #options: PrivatePartsOptions
  readonly #crypto = sharedCrypto()
  readonly #clock = sharedClock()
  readonly #keyrings: Keyring[] = []
  /** For frames from the device, and for all that is opened. */
  readonly #own: KeyringParts
  readonly #relays: RelayTable
  /** Made when they are first needed. */
  #relayHeaders: RelayHeaders | undefined
  #macKeys: MacKeys | undefined

  constructor(options: PrivatePartsOptions) {
    this.#options = options
    const { plan, role } = options.task
    this.#own = this.#keyring(plan[role].slots, SEALING_SLOTS_BYTES, plan[role].keys)
    this.#relays = new RelayTable(options.scratch.memory, plan.relays, plan.peerRows)
  }

  /** For frames from the device, which may wait for keys. */
  forDevice(): Sealing {
    const { task, bytes } = this.#options
    const { slots, waitingFrames, sealingBatch } = task.plan[task.role]
    const { keyring, aead } = this.#own
    const sealer = this.#sealer(keyring, slots, this.#spread(sealingBatch, aead, true))
    const relayHeaders = this.#headers
    return { sealer, waitingFrames: new WaitingFrames(waitingFrames, bytes.copy), relayHeaders }
  }

  get #headers(): RelayHeaders {
    const { task, scratch } = this.#options
    const { hopSlots, hopKeys } = task.plan[task.role]
    this.#relayHeaders ??= new RelayHeaders({
      memory: scratch.memory,
      keyring: this.#keyring(hopSlots, HOP_SLOTS_BYTES, hopKeys).keyring,
      table: this.#relays,
      slot: hopSlots,
    })
    return this.#relayHeaders
  }

  /** For frames from other peers. */
  forRelay(): Sealing {
    const { task } = this.#options
    const { relaySlots, relayKeys } = task.plan[task.role]
    const { keyring } = this.#keyring(relaySlots, SEALING_SLOTS_BYTES, relayKeys)
    const sealer = this.#sealer(keyring, relaySlots, undefined)
    return { sealer, waitingFrames: undefined, relayHeaders: undefined }
  }

  /** Call it when main has rung: keys may have been wiped, and this host may have another identity. */
  rung(): void {
    for (const keyring of this.#keyrings) keyring.sweep()
    this.#macKeys?.follow()
  }

  /** Call it after each sleep: keys may have expired. */
  woke(): void {
    this.#clock.look()
    for (let i = 0; i < this.#keyrings.length; i++) this.#keyrings[i].look()
  }

  #sealer(keyring: Keyring, slots: number, spread: Spread | undefined): Sealer {
    const { task, scratch, limits, encap, bytes } = this.#options
    const { memory } = scratch
    const words = new StateWords(memory, task.plan.state)
    return new Sealer({ memory, keyring, limits, bytes, slots, words, encap, spread })
  }

  /** The owner's side of a batch, if there are crypto workers. */
  #spread(at: number, aead: Aead, seals: boolean): Spread | undefined {
    const { task, scratch, counters } = this.#options
    if (!task.spread) return undefined
    const { memory } = scratch
    const batch = new CryptoBatch(memory, at)
    const hand = new CryptoHand(memory, batch, aead, seals)
    const bell = new CryptoBell(memory, task.plan.cryptoBell)
    return new Spread({ batch, hand, bell, words: new StateWords(memory, task.plan.state), counters })
  }

  #keyring(slots: number, slotsBytes: number, keys: number): KeyringParts {
    const { task, scratch, peers, encap, bytes, control } = this.#options
    const { plan } = task
    const { memory } = scratch
    const aead = this.#crypto.aead({
      memory,
      at: slots,
      bytes: slotsBytes,
      scratch: scratch.take(CRYPTO_SCRATCH_BYTES),
      keys,
      copy: bytes.copy,
    })
    const table = new KeypairTable(memory, plan.keypairs, plan.keypairRows, plan.peerRows)
    const tellMain = () => {
      if (control.mustTell()) this.#options.tellMain()
    }
    const keyring = new Keyring({ memory, table, aead, peers, encap, clockMs: this.#clock.ms, tellMain })
    this.#keyrings.push(keyring)
    return { keyring, aead }
  }

  /** @param outlet sends what is relayed */
  makeOpener(counters: Float64Array, peerCounters: Float64Array, drops: Drops, outlet: RelayOutlet): Opener {
    const { task, keys, scratch, peers, tellMain } = this.#options
    const { memory } = scratch
    const { plan, udpFd: fd, sockaddrBytes } = task
    const table = new KeypairTable(memory, plan.keypairs, plan.keypairRows, plan.peerRows)
    const handshakes = new Mailbox(memory, plan.handshakes, plan.state + StateWord.handshakesTold * 4)
    const macs = makeMacCheck(this.#crypto, keys, scratch)
    this.#macKeys = new MacKeys(new IdentityKeys(memory, plan.identity), macs)
    const cookies = new CookieSocket({
      memory,
      fd,
      sockaddrBytes,
      reply: macs.reply,
      replyBytes: COOKIE_REPLY.size,
      scratch: scratch.take(COOKIE_SOCKET_SCRATCH_BYTES),
      called: () => void counters[C.syscalls]++,
    })
    const at = scratch.take(GATE_SCRATCH_BYTES)
    const around = { memory, table, peers, handshakes, tellMain, outlet: cookies, nowMs, drops }
    const gate = new Gate({ ...around, macs, neighbours: new Neighbours(memory), scratch: at })
    const { keyring, aead } = this.#own
    const spread = this.#spread(plan.udp.openingBatch, aead, false)
    const relays = this.#relays
    const words = new StateWords(memory, plan.state)
    const headers = this.#headers
    const passingOn = new PassingOn({ table: relays, peers, words, headers, outlet, counters, drops, nowMs })
    const name = scratch.take(NAME_BYTES)
    const relayed = new Relayed({ memory, keyring, table: relays, drops, peerCounters, passingOn, name })
    return new Opener({ memory, keyring, gate, counters, peerCounters, drops, relayed, spread })
  }
}

export function makeMacCheck(crypto: Crypto, keys: HandshakeKeys, scratch: Scratch): MacCheck {
  const { memory } = scratch
  const room = () => scratch.take(CRYPTO_SCRATCH_BYTES)
  return new MacCheck({
    memory,
    mac1: crypto.mac(memory, room(), keys.mac1),
    mac2: crypto.mac(memory, room(), new Uint8Array(KEY_BYTES)),
    sealer: crypto.cookieSealer(memory, room(), keys.cookie),
    scratch: scratch.take(MAC_CHECK_SCRATCH_BYTES),
  })
}
