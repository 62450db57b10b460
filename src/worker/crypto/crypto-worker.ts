import { type Aead, type AeadOptions, CRYPTO_SCRATCH_BYTES } from '../../crypto/ciphers.js'
import { findCrypto } from '../../crypto/find-crypto.js'
import { NativeMemory } from '../../linux/memory.js'
import { CryptoBatch } from '../../memory/crypto-batch.js'
import { CryptoBell } from '../../memory/crypto-bell.js'
import { OPENING_SLOTS_BYTES, SEALING_SLOTS_BYTES } from '../../memory/slots.js'
import { StateWords } from '../../memory/state-words.js'
import { byteOperations } from '../../offload/bytes.js'
import { Scratch } from '../scratch.js'
import type { CryptoTask } from '../task.js'
import { CryptoHand } from './crypto-hand.js'

/** How often it looks for messages before it sleeps: some 50 µs, in which a busy worker publishes its next batch. */
const SPINS = 1_500

/**
 * A crypto worker's life: it helps to seal and to open what the tap worker and the udp worker publish. It has no keys of its
 * own. It uses theirs while they wait for it. Returns when main has set the stop word and rung the bell.
 */
export function help(task: CryptoTask): void {
  const memory = new NativeMemory(task.memory)
  const { plan } = task
  const words = new StateWords(memory, plan.state)
  const bell = new CryptoBell(memory, plan.cryptoBell)
  const crew = new Crew(assembleHands(task, memory))
  for (;;) {
    const { rings } = bell
    if (words.stopped) return
    if (!crew.helpAll()) bell.sleep(rings)
  }
}

/** One thread's parts in all batches. */
class Crew {
  readonly #hands: readonly CryptoHand[]

  constructor(hands: readonly CryptoHand[]) {
    this.#hands = hands
  }

  /** Helps until nothing was left for a while. Whether there was anything. */
  helpAll(): boolean {
    const hands = this.#hands
    let any = false
    for (let idle = 0; idle < SPINS; idle++) {
      for (let i = 0; i < hands.length; i++) {
        while (hands[i].help()) {
          any = true
          idle = 0
        }
      }
    }
    return any
  }
}

function assembleHands({ plan, number }: CryptoTask, memory: NativeMemory): CryptoHand[] {
  const { lentAead } = findCrypto()
  if (lentAead === undefined) throw new Error('this OpenSSL does not lend keys to crypto workers')
  const { copy } = byteOperations(memory)
  const own = plan.cryptoWorkers[number]
  const scratch = new Scratch(memory, own.scratch)
  const aead = (options: Pick<AeadOptions, 'at' | 'bytes' | 'keys'>): Aead =>
    lentAead({ ...options, memory, copy, scratch: scratch.take(CRYPTO_SCRATCH_BYTES) })
  const sealing = [plan.tap, plan.udp].map(({ slots: at, keys, sealingBatch }) => {
    const batch = new CryptoBatch(memory, sealingBatch)
    return new CryptoHand(memory, batch, aead({ at, bytes: SEALING_SLOTS_BYTES, keys }), true)
  })
  const { keys, openingBatch } = plan.udp
  const opener = aead({ at: own.slots, bytes: OPENING_SLOTS_BYTES, keys })
  return [...sealing, new CryptoHand(memory, new CryptoBatch(memory, openingBatch), opener, false)]
}
