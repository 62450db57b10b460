import { CRYPTO_SCRATCH_BYTES } from '../../src/crypto/ciphers.js'
import { findCrypto } from '../../src/crypto/find-crypto.js'
import { encapFor } from '../../src/encap/encap.js'
import type { NativeMemory } from '../../src/linux/memory.js'
import { decodeLocal, SOCKADDR_BYTES } from '../../src/linux/sockaddr.js'
import { counterBlock } from '../../src/memory/counters.js'
import { Drops } from '../../src/memory/drops.js'
import { IdentityKeys } from '../../src/memory/identity-keys.js'
import { KeypairTable } from '../../src/memory/keypair-table.js'
import { Mailbox } from '../../src/memory/mailbox.js'
import { encodeName, NAME, NAME_BYTES } from '../../src/memory/name.js'
import type { PathLimits } from '../../src/memory/path-limits.js'
import { peerCounterBlock } from '../../src/memory/peer-counters.js'
import type { PeerTable } from '../../src/memory/peer-table.js'
import { type MemoryPlan, StateWord } from '../../src/memory/plan.js'
import { RelayTable } from '../../src/memory/relay-table.js'
import { HOP_SLOTS_BYTES, SEALING_SLOTS_BYTES } from '../../src/memory/slots.js'
import { StateWords } from '../../src/memory/state-words.js'
import { scalarOperations } from '../../src/offload/bytes.js'
import type { DeviceMode } from '../../src/wire/mode.js'
import { RELAY_HEADER_BYTES } from '../../src/wire/relay.js'
import { COOKIE_REPLY } from '../../src/wire/wireguard.js'
import { GATE_SCRATCH_BYTES, Gate } from '../../src/worker/inbound/gate.js'
import { MacKeys } from '../../src/worker/inbound/mac-keys.js'
import { Opener } from '../../src/worker/inbound/opener.js'
import { PassingOn, type RelayOutlet } from '../../src/worker/inbound/passing-on.js'
import { Relayed } from '../../src/worker/inbound/relayed.js'
import { Keyring } from '../../src/worker/keyring.js'
import { Sealer } from '../../src/worker/outbound/sealer.js'
import { WaitingFrames } from '../../src/worker/outbound/waiting-frames.js'
import { makeMacCheck } from '../../src/worker/private-parts.js'
import { RelayHeaders } from '../../src/worker/relay-headers.js'
import type { Scratch } from '../../src/worker/scratch.js'
import type { HandshakeKeys } from '../../src/worker/task.js'
import type { SimClock } from './clock.js'

/** One for all hosts. */
const CRYPTO = findCrypto()

/** What the data path of a private tunnel has beside: the workers' own classes. */
export interface PrivateParts {
  readonly keyring: Keyring
  readonly sealer: Sealer
  readonly opener: Opener
  readonly waiting: WaitingFrames
  readonly headers: RelayHeaders
  /** Keys may have expired, as after each sleep of a worker. */
  readonly look: () => void
  /** This host may have another identity: main has rung. */
  readonly follow: () => void
}

export interface PrivatePartsOptions {
  readonly memory: NativeMemory
  readonly plan: MemoryPlan
  readonly mode: DeviceMode
  readonly clock: SimClock
  readonly keys: HandshakeKeys
  readonly scratch: Scratch
  readonly peers: PeerTable
  readonly limits: PathLimits
  readonly send: (datagram: Uint8Array, name: Uint8Array, mayFragment: boolean) => number
  /** Tells main of the keys, and of handshakes. */
  readonly tellOfKeys: () => void
  readonly tellOfHandshakes: () => void
}

/** Makes them with simulated time and a simulated socket. */
export function makePrivateParts(options: PrivatePartsOptions): PrivateParts {
  const { memory, plan, mode, clock, keys, scratch, peers, limits, send } = options
  const encap = encapFor(mode, true)
  const bytes = scalarOperations(memory)
  const { slots, hopSlots } = plan.udp
  const aeadAt = (at: number, slotsBytes: number, keysAt: number) =>
    CRYPTO.aead({
      memory,
      at,
      bytes: slotsBytes,
      scratch: scratch.take(CRYPTO_SCRATCH_BYTES),
      keys: keysAt,
      copy: bytes.copy,
    })
  const aead = aeadAt(slots, SEALING_SLOTS_BYTES, plan.udp.keys)
  const table = new KeypairTable(memory, plan.keypairs, plan.keypairRows, plan.peerRows)
  const clockMs = new Float64Array([clock.bootMs()])
  const common = { memory, table, peers, encap, clockMs, tellMain: options.tellOfKeys }
  const keyring = new Keyring({ ...common, aead })
  const hopAead = aeadAt(hopSlots, HOP_SLOTS_BYTES, plan.udp.hopKeys)
  const hopKeyring = new Keyring({ ...common, aead: hopAead })
  const relays = new RelayTable(memory, plan.relays, plan.peerRows)
  const headers = new RelayHeaders({ memory, keyring: hopKeyring, table: relays, slot: hopSlots })
  const counters = counterBlock(memory, plan.udp.counters)
  const peerCounters = peerCounterBlock(memory, plan.udp.peerCounters, plan.peerRows)
  const drops = new Drops(counters, peerCounters)
  const macs = makeMacCheck(CRYPTO, keys, scratch)
  const macKeys = new MacKeys(new IdentityKeys(memory, plan.identity), macs)
  const { u8 } = memory
  const reply = u8.subarray(macs.reply, macs.reply + COOKIE_REPLY.size)
  const gate = new Gate({
    memory,
    table,
    peers,
    macs,
    neighbours: { isResolved: () => true },
    handshakes: new Mailbox(memory, plan.handshakes, plan.state + StateWord.handshakesTold * 4),
    tellMain: options.tellOfHandshakes,
    outlet: {
      send: (name) => {
        const local = u8.slice(name + NAME.local, name + NAME.via)
        const to = encodeName(u8.slice(name, name + SOCKADDR_BYTES), local, decodeLocal(local) !== undefined)
        return send(reply, to, false) === 0
      },
      usedBytes: () => 0,
    },
    nowMs: () => clock.nowMs(),
    scratch: scratch.take(GATE_SCRATCH_BYTES),
    drops,
  })
  const words = new StateWords(memory, plan.state)
  const passingOn = new PassingOn({
    table: relays,
    peers,
    words,
    headers,
    outlet: outletOf(options),
    counters,
    drops,
    nowMs: () => clock.nowMs(),
  })
  const name = scratch.take(NAME_BYTES)
  const relayed = new Relayed({ memory, keyring, table: relays, drops, peerCounters, passingOn, name })
  return {
    keyring,
    headers,
    look: () => {
      clockMs[0] = clock.bootMs()
      keyring.look()
      hopKeyring.look()
    },
    follow: () => macKeys.follow(),
    sealer: new Sealer({
      memory,
      keyring,
      limits,
      bytes,
      slots,
      words,
      encap,
    }),
    opener: new Opener({ memory, keyring, gate, counters, peerCounters, drops, relayed }),
    waiting: new WaitingFrames(plan.udp.waitingFrames, bytes.copy),
  }
}

/** Sends each relayed message at once. */
function outletOf({ memory, scratch, peers, send }: PrivatePartsOptions): RelayOutlet {
  const { u8 } = memory
  const header = scratch.take(RELAY_HEADER_BYTES)
  return {
    header: () => header,
    add: (row, message, bytes) => {
      const parts = [
        u8.subarray(header, header + RELAY_HEADER_BYTES),
        u8.subarray(message, message + bytes),
      ] as const
      const name = peers.address(row)
      send(Buffer.concat(parts), u8.slice(name, name + NAME_BYTES), false)
    },
    flush: () => {},
  }
}
